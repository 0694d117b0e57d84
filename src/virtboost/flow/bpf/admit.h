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

/* Return the guarded bits that are not as they must be. */
static __always_inline __u64 unlike(const void *seen, const void *guard, const void *guard_mask,
				    int from, int to)
{
	const __u64 *have = seen, *want = guard, *mask = guard_mask;
	__u64 wrong = 0;

#pragma unroll
	for (int i = from; i < to; i++)
		wrong |= (have[i] ^ want[i]) & mask[i];
	return wrong;
}

static __always_inline int guarded(const struct parsed *p, const struct flow_entry *entry)
{
	if (unlike(&p->seen, &entry->guard, &entry->guard_mask, 0, FLOW_INNER_WORDS))
		return 0;
	return !p->key.vni || !unlike(&p->seen, &entry->guard, &entry->guard_mask, FLOW_INNER_WORDS,
				      FLOW_GUARD_WORDS);
}

static __always_inline void close_entry(__u32 slot)
{
	struct flow_state *state = bpf_map_lookup_elem(&states, &slot);

	if (state)
		*(volatile __u32 *)&state->closed = 1;
}

/* SYN, FIN and RST are Open vSwitch's; the last two end both directions before it sees them. */
static __always_inline int closing(const struct parsed *p, const struct flow_entry *entry)
{
	if (p->key.protocol != IPPROTO_TCP)
		return 0;
	if (p->tcp_flags & TCP_FIN_RST) {
		close_entry(entry->slot);
		close_entry(entry->peer);
	}
	return p->tcp_flags & (TCP_FIN_RST | TCP_SYN);
}

/* Tell whether this packet is the one that a new flow_entry.punt asks for.
 *
 * Atomic operations but addition would need a later kernel (5.18 on arm64): where two CPUs ask at once
 * both packets pass, which does no harm.
 */
static __always_inline int punted(const struct flow_entry *entry, struct flow_state *state)
{
	volatile __u32 *last = &state->punted;

	if (*last == entry->punt)
		return 0;
	*last = entry->punt;
	return 1;
}

/* Return why an entry may not be carried out, or 0.  size is the frame's as it would leave. */
static __always_inline int admit(const struct parsed *p, const struct flow_entry *entry,
				 struct flow_state *state, const struct flow_control *word,
				 __u64 now, __u32 size)
{
	if (closing(p, entry))
		return FLOW_PASS_CLOSING;
	if (*(const volatile __u32 *)&state->closed)
		return FLOW_PASS_CLOSED;
	if (entry->epoch != word->epoch)
		return FLOW_PASS_EPOCH;
	if (now >= entry->lease_ns || now >= word->lease_ns)
		return FLOW_PASS_LEASE;
	if (!guarded(p, entry))
		return FLOW_PASS_GUARD;
	if (!(entry->changes & FLOW_DROP) && size > entry->mtu)
		return FLOW_PASS_LENGTH;
	return punted(entry, state) ? FLOW_PASS_PUNT : 0;
}

static __always_inline void count_pass(__u32 reason)
{
	__u64 *packets = bpf_map_lookup_elem(&passes, &reason);

	if (packets)
		++*packets;
}

/* Count a packet that has no entry; tell of its key now and then.  SYN, FIN and RST are no reason to: the
 * last two are noted, so that a connection which ends before its entries come gets none.
 */
static __always_inline void count_miss(const struct parsed *p)
{
	__u64 *packets = bpf_map_lookup_elem(&misses, &p->key), first = 1, count;
	__u64 ended = FLOW_MISS_ENDED;
	struct flow_candidate *told;

	if (p->tcp_flags & TCP_FIN_RST) {
		bpf_map_update_elem(&misses, &p->key, &ended, BPF_ANY);
		return;
	}
	if (p->tcp_flags & TCP_SYN) {
		bpf_map_delete_elem(&misses, &p->key);
		return;
	}
	if (!packets) {
		bpf_map_update_elem(&misses, &p->key, &first, BPF_NOEXIST);
		return;
	}
	__sync_fetch_and_add(packets, 1);
	count = *(volatile __u64 *)packets; /* of two CPUs at once both may tell, or none until later */
	if (count < FLOW_CANDIDATE_PACKETS || count & (count - 1))
		return;
	told = bpf_ringbuf_reserve(&candidates, sizeof(*told), 0);
	if (!told)
		return;
	told->key = p->key;
	told->seen = p->seen;
	told->packets = count;
	bpf_ringbuf_submit(told, 0);
}

static __always_inline void count_packet(const struct parsed *p, struct flow_state *state, __u64 now,
					 __u32 size)
{
	__sync_fetch_and_add(&state->packets, 1);
	__sync_fetch_and_add(&state->bytes, size);
	state->used_ns = now;
	/* Not atomic, which the JIT of aarch64 knows from 5.18 on: what two CPUs unite at one moment
	 * may be lost until the next packet with it.
	 */
	if (p->tcp_flags & ~state->tcp_flags)
		state->tcp_flags |= p->tcp_flags;
}

#endif
