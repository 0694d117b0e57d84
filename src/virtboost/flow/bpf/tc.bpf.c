// SPDX-License-Identifier: Apache-2.0
/* The fast path in front of ports of the kernel's datapath: clsact, ingress.
 *
 * Frames with a tag and entries that put one on are left to Open vSwitch: a tag is in the socket
 * buffer or in the frame, as the driver likes.
 */
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <linux/stddef.h>
#include <bpf/bpf_helpers.h>

#include "parse.h"

#define frame_context __sk_buff

/* Bytes of headers that must lie in the linear part: Ethernet, IPv6, UDP, VXLAN, and again to TCP. */
#define HEADERS 144

static __always_inline void *frame_data(struct __sk_buff *ctx)
{
	return (void *)(long)ctx->data;
}

static __always_inline void *frame_end(struct __sk_buff *ctx)
{
	return (void *)(long)ctx->data_end;
}

static __always_inline __u32 frame_size(struct __sk_buff *ctx)
{
	return ctx->len;
}

/* Bytes go and come between the Ethernet header and IP. */
static __always_inline int frame_resize(struct __sk_buff *ctx, const struct parsed *p,
					const struct flow_entry *entry)
{
	__u64 flags = BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_ENCAP_L2(14) |
		      BPF_F_ADJ_ROOM_FIXED_GSO;
	int pop = p->popped, push = entry->push_size;

	if (p->key.tag || entry->changes & (FLOW_POP_TAG | FLOW_PUSH_TAG) || (pop && push))
		return -1;
	if (pop)
		return bpf_skb_adjust_room(ctx, -pop, BPF_ADJ_ROOM_MAC, BPF_F_ADJ_ROOM_FIXED_GSO);
	if (!push)
		return bpf_skb_pull_data(ctx, 0);
	flags |= push == 50 ? BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 : BPF_F_ADJ_ROOM_ENCAP_L3_IPV6;
	return bpf_skb_adjust_room(ctx, push, BPF_ADJ_ROOM_MAC, flags);
}

/* The helpers know of checksums that are not made yet, or that the device summed. */
static __always_inline int frame_checksum(struct __sk_buff *ctx, const struct parsed *p,
					  const struct flow_entry *entry,
					  __attribute__((unused)) void *transport)
{
	int udp = p->key.protocol == IPPROTO_UDP;
	__u64 flags = udp ? BPF_F_MARK_MANGLED_0 : 0;
	__u32 at = sizeof(struct ethhdr) + (udp ? 6 : 16);

	if (!udp && p->key.protocol != IPPROTO_TCP)
		return 0;
	at += p->key.eth_type == bpf_htons(ETH_P_IP) ? sizeof(struct iphdr) : sizeof(struct ipv6hdr);
	at += entry->push_size;
	if (entry->address_delta &&
	    bpf_l4_csum_replace(ctx, at, 0, entry->address_delta, flags | BPF_F_PSEUDO_HDR))
		return -1;
	if (entry->port_delta && bpf_l4_csum_replace(ctx, at, 0, entry->port_delta, flags))
		return -1;
	return 0;
}

#include "fast_path.h"

SEC("tc")
int flow_tc(struct __sk_buff *ctx)
{
	__u32 output = 0;

	if (ctx->vlan_present) {
		count_pass(FLOW_PASS_TAGS);
		return TC_ACT_UNSPEC;
	}
	if (ctx->gso_size) { /* gso_segs of a guest's packet is 0 */
		count_pass(FLOW_PASS_SEGMENTS);
		return TC_ACT_UNSPEC;
	}
	bpf_skb_pull_data(ctx, ctx->len < HEADERS ? ctx->len : HEADERS);
	switch (fast_path(ctx, ctx->ifindex, &output)) {
	case VERDICT_REDIRECT:
		return bpf_redirect(output, 0);
	case VERDICT_DROP:
		return TC_ACT_SHOT;
	default:
		return TC_ACT_UNSPEC;
	}
}

char _license[] SEC("license") = "Apache-2.0";
