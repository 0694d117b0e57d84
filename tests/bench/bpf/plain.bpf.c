// SPDX-License-Identifier: Apache-2.0
/* No switch: each frame of one device leaves by the other, whose number is PLAIN_SUM less that of the first. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int plain(struct xdp_md *ctx)
{
	return bpf_redirect(PLAIN_SUM - ctx->ingress_ifindex, 0);
}

char _license[] SEC("license") = "Apache-2.0";
