/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an entry may be carried out for a packet now. */
#ifndef VIRTBOOST_ADMIT_H
#define VIRTBOOST_ADMIT_H

#include "maps.h"
#include "parse.h"

/* 1 in a build for tests: the time is what flow_control says. */
#ifndef FLOW_TEST_CLOCK
#define FLOW_TEST_CLOCK 0
#endif

static __always_inline __u64 now_ns(const struct flow_control *word)
{
	if (FLOW_TEST_CLOCK && word->clock_ns)
		return word->clock_ns;
	return bpf_ktime_get_coarse_ns();
}

/* Tell whether all guarded bits are as they must be. */
static __always_inline int guarded(const struct flow_headers *seen, const struct flow_entry *entry)
{
	const __u64 *have = (const __u64 *)seen, *want = (const __u64 *)&entry->guard;
	const __u64 *mask = (const __u64 *)&entry->guard_mask;
	__u64 wrong = 0;

#pragma unroll
	for (unsigned long i = 0; i < FLOW_GUARD_WORDS; i++)
		wrong |= (have[i] ^ want[i]) & mask[i];
	return !wrong;
}

/* SYN, FIN and RST are Open vSwitch's; the last two end both directions before it sees them. */
static __always_inline int closing(const struct parsed *p, __u32 *state)
{
	if (p->key.protocol != IPPROTO_TCP)
		return 0;
	if (p->tcp_flags & TCP_FIN_RST)
		*(volatile __u32 *)state = 1;
	return p->tcp_flags & (TCP_FIN_RST | TCP_SYN);
}

/* Return why an entry may not be carried out, or 0.  size is the frame's as it would leave. */
static __always_inline int admit(const struct parsed *p, const struct flow_entry *entry,
				 const struct flow_control *word, __u64 now, __u32 size)
{
	__u32 pair = entry->pair;
	__u32 *state = bpf_map_lookup_elem(&closed, &pair);

	if (!state)
		return FLOW_PASS_CLOSED;
	if (closing(p, state))
		return FLOW_PASS_CLOSING;
	if (*(volatile __u32 *)state)
		return FLOW_PASS_CLOSED;
	if (entry->epoch != word->epoch)
		return FLOW_PASS_EPOCH;
	if (now >= entry->lease_ns)
		return FLOW_PASS_LEASE;
	if (!guarded(&p->seen, entry))
		return FLOW_PASS_GUARD;
	if (!(entry->changes & FLOW_DROP) && size > entry->mtu)
		return FLOW_PASS_LENGTH;
	return 0;
}

static __always_inline void count_pass(__u32 reason)
{
	__u64 *packets = bpf_map_lookup_elem(&passes, &reason);

	if (packets)
		++*packets;
}

static __always_inline void count_packet(const struct parsed *p, const struct flow_entry *entry,
					 __u64 now, __u32 size)
{
	__u32 slot = entry->slot;
	struct flow_counters *mine = bpf_map_lookup_elem(&counters, &slot);

	if (!mine)
		return;
	mine->packets++;
	mine->bytes += size;
	mine->used_ns = now;
	mine->tcp_flags |= p->tcp_flags;
}

#endif
