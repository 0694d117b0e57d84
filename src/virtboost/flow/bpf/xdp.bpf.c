// SPDX-License-Identifier: Apache-2.0
/* The fast path in front of ports of Open vSwitch's userspace datapath. */
#include "xdp_frame.h"
#include "fast_path.h"

SEC("xdp")
int flow_xdp(struct xdp_md *ctx)
{
	__u32 output = 0;

	switch (fast_path(ctx, ctx->ingress_ifindex, &output)) {
	case VERDICT_REDIRECT:
		return bpf_redirect(output, 0);
	case VERDICT_DROP:
		return XDP_DROP;
	default:
		return XDP_PASS;
	}
}

char _license[] SEC("license") = "Apache-2.0";
