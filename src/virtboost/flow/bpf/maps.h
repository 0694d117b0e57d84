/* SPDX-License-Identifier: Apache-2.0 */
/* The maps; the control plane sizes, fills and empties them, but for what is said below. */
#ifndef VIRTBOOST_MAPS_H
#define VIRTBOOST_MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

/* Entries.  A plain hash: an LRU would evict entries that are in use.  Their memory is taken when they
 * come: room for many costs nothing while there are few.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, struct flow_entry);
} flows SEC(".maps");

/* One element. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_control);
} control SEC(".maps");

/* By flow_entry.slot; the data plane counts and closes, the control plane clears a slot before use. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_state);
} states SEC(".maps");

/* Packets by enum flow_pass. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_PASS_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} passes SEC(".maps");

/* Packets of keys without an entry; the data plane fills it, and the least recent go. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__type(key, struct flow_key);
	__type(value, __u64);
} misses SEC(".maps");

/* struct flow_candidate, for the control plane. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} candidates SEC(".maps");

#endif
