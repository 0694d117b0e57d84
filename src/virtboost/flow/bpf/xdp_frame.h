/* SPDX-License-Identifier: Apache-2.0 */
/* The fast path over XDP's frames. */
#ifndef VIRTBOOST_XDP_FRAME_H
#define VIRTBOOST_XDP_FRAME_H

#include <linux/bpf.h>
#include <linux/stddef.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

#define frame_context xdp_md

static __always_inline void *frame_data(struct xdp_md *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *frame_end(struct xdp_md *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 frame_size(struct xdp_md *ctx)
{
	return ctx->data_end - ctx->data;
}

static __always_inline int frame_resize(struct xdp_md *ctx, const struct parsed *p,
					const struct flow_entry *entry)
{
	int delta = p->popped - entry->push_size;

	if (entry->changes & FLOW_POP_TAG)
		delta += 4;
	if (entry->changes & FLOW_PUSH_TAG)
		delta -= 4;
	return delta ? bpf_xdp_adjust_head(ctx, delta) : 0;
}

static __always_inline int frame_checksum(struct xdp_md *ctx, const struct parsed *p,
					  const struct flow_entry *entry, void *transport)
{
	__u32 delta = (__u32)entry->address_delta + entry->port_delta;
	struct tcphdr *tcp = transport;
	struct udphdr *udp = transport;

	if (!delta)
		return 0;
	if (p->key.protocol == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > frame_end(ctx))
			return -1;
		adjust(&tcp->check, delta);
	} else if (p->key.protocol == IPPROTO_UDP) {
		if ((void *)(udp + 1) > frame_end(ctx))
			return -1;
		if (!udp->check)
			return 0;
		adjust(&udp->check, delta);
		if (!udp->check)
			udp->check = 0xffff;
	}
	return 0;
}

#endif
