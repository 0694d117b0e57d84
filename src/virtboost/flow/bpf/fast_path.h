/* SPDX-License-Identifier: Apache-2.0 */
/* One packet: parse, one lookup, admit, count, transpose.
 *
 * A program that includes this has a type `struct frame_context` and defines before it
 *   void *frame_data(ctx), void *frame_end(ctx), __u32 frame_size(ctx);
 *   int frame_resize(ctx, p, entry): makes room, 0 or an error with the frame as it was;
 *   int frame_checksum(ctx, p, entry, transport): follows NAT in the checksum of TCP and UDP.
 */
#ifndef VIRTBOOST_FAST_PATH_H
#define VIRTBOOST_FAST_PATH_H

#include "admit.h"
#include "transpose.h"

enum verdict {
	VERDICT_PASS,
	VERDICT_REDIRECT,
	VERDICT_DROP,
};

/* Return the bytes behind the Ethernet header that a frame leaves with; a tag is none of them. */
static __always_inline __u32 leaving_size(const struct parsed *p, const struct flow_entry *entry,
					  __u32 size)
{
	__u32 inner = size - p->popped - sizeof(struct ethhdr) - (p->key.tag ? 4 : 0);

	if (!entry->push_size)
		return inner;
	inner += p->key.tag && !(entry->changes & FLOW_POP_TAG) ? 4 : 0;
	inner += entry->changes & FLOW_PUSH_TAG ? 4 : 0;
	return inner + entry->push_size;
}

/* Write the headers of a frame that has its new size. */
static __always_inline int transpose(struct frame_context *ctx, const struct parsed *p,
				     const struct flow_entry *entry)
{
	void *data = frame_data(ctx), *end = frame_end(ctx), *at;
	__u32 size = frame_size(ctx);

	if (entry->push_size && write_outer(data, end, entry, size))
		return -1;
	at = data;
	if (entry->push_size)
		at += entry->push_size == 50 ? 50 : FLOW_PUSH_MAX;
	at = write_ethernet(at, end, p, entry);
	if (!at)
		return -1;
	at = write_network(at, end, p, entry);
	if (!at)
		return -1;
	return frame_checksum(ctx, p, entry, at);
}

/* Take one packet that came to port; *output is where it goes. */
static __always_inline enum verdict fast_path(struct frame_context *ctx, __u32 port, __u32 *output)
{
	__u32 size = frame_size(ctx), zero = 0;
	struct parsed p = {.key.port = port};
	struct flow_control *word = bpf_map_lookup_elem(&control, &zero);
	struct flow_entry *entry;
	struct flow_state *state;
	__u64 now;
	int reason = parse(frame_data(ctx), frame_end(ctx), size, &p);

	if (reason || !word)
		goto pass;
	entry = bpf_map_lookup_elem(&flows, &p.key);
	reason = FLOW_PASS_NO_ENTRY;
	if (!entry) {
		count_miss(&p);
		goto pass;
	}
	state = bpf_map_lookup_elem(&states, &entry->slot);
	if (!state)
		goto pass;
	now = now_ns(word);
	reason = admit(&p, entry, state, word, now, leaving_size(&p, entry, size));
	if (reason)
		goto pass;
	if (entry->changes & FLOW_OBSERVE) {
		count_packet(&p, state, now, size);
		reason = FLOW_PASS_OBSERVED;
		goto pass;
	}
	if (entry->changes & FLOW_DROP) {
		count_packet(&p, state, now, size);
		return VERDICT_DROP;
	}
	reason = FLOW_PASS_ROOM;
	if (frame_resize(ctx, &p, entry))
		goto pass;
	count_packet(&p, state, now, size);
	*output = entry->output;
	return transpose(ctx, &p, entry) ? VERDICT_DROP : VERDICT_REDIRECT;
pass:
	count_pass(reason);
	return VERDICT_PASS;
}

#endif
