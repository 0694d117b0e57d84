// SPDX-License-Identifier: Apache-2.0
/* The fast path again and again on one frame, as if each came from another of many connections.
 *
 * flow_control.clock_ns, which is of tests only, is their number.  What a run does to the size is
 * undone after it.  FLOW_FLOOR: all of this but the fast path itself.
 */
#include "xdp_frame.h"
#include "fast_path.h"

#ifndef FLOW_FLOOR
#define FLOW_FLOOR 0
#endif

static __u32 runs;

/* Make the addresses 10.n and 11.~n: sums, and so checksums, stay as they are. */
static __always_inline int choose(struct xdp_md *ctx, __u32 offset, __u32 n)
{
	void *data = frame_data(ctx) + offset + 26;
	__u32 *ends = data;

	if (data + 8 > frame_end(ctx))
		return -1;
	ends[0] = bpf_htonl(10 << 24 | n);
	ends[1] = bpf_htonl(11 << 24 | (~n & 0xffffff));
	return 0;
}

SEC("xdp")
int flow_xdp(struct xdp_md *ctx)
{
	__u32 zero = 0, size = frame_size(ctx), output = 0;
	struct flow_control *word = bpf_map_lookup_elem(&control, &zero);
	__u32 n = runs++ * 2654435761u;
	int done;

	if (!word || !word->clock_ns)
		return XDP_ABORTED;
	n = (n >> 8) % (__u32)word->clock_ns;
	/* the frame that comes from a tunnel is the longer one */
	if (size > 100 ? choose(ctx, 50, n) : choose(ctx, 0, n))
		return XDP_ABORTED;
	if (FLOW_FLOOR)
		return XDP_REDIRECT;
	done = fast_path(ctx, 1, &output) == VERDICT_REDIRECT;
	if (frame_size(ctx) != size && bpf_xdp_adjust_head(ctx, (int)(frame_size(ctx) - size)))
		return XDP_ABORTED;
	return done ? XDP_REDIRECT : XDP_PASS;
}

char _license[] SEC("license") = "Apache-2.0";
