/* SPDX-License-Identifier: Apache-2.0 */
/* Headers -> key and guarded bits. */
#ifndef VIRTBOOST_PARSE_H
#define VIRTBOOST_PARSE_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "abi.h"
#include "checksum.h"

#define TCP_FIN_RST 0x05
#define TCP_SYN 0x02

struct vxlan_header {
	__be32 flags;
	__be32 vni;
};

struct vlan_tag {
	__be16 tci;
	__be16 eth_type;
};

struct parsed {
	struct flow_key key;
	struct flow_headers seen;
	__u32 popped; /* bytes of outer headers */
	__u32 network_size; /* bytes from the inner IP header to the end of the frame */
	__u8 tcp_flags;
	__u8 unsummed; /* UDP without a checksum */
};

/* Read an Ethernet header with at most one tag.  Move *at behind it; return a reason or 0. */
static __always_inline int parse_ethernet(void **at, void *end, struct parsed *p)
{
	struct ethhdr *eth = *at;
	struct vlan_tag *tag;

	if ((void *)(eth + 1) > end)
		return FLOW_PASS_MALFORMED;
	__builtin_memcpy(p->seen.eth_dst, eth->h_dest, 12);
	p->key.eth_type = eth->h_proto;
	*at = eth + 1;
	if (eth->h_proto != bpf_htons(ETH_P_8021Q) && eth->h_proto != bpf_htons(ETH_P_8021AD))
		return 0;
	tag = *at;
	if ((void *)(tag + 1) > end)
		return FLOW_PASS_MALFORMED;
	__builtin_memcpy(p->seen.tpid, &eth->h_proto, 2);
	__builtin_memcpy(p->seen.tci, &tag->tci, 2);
	p->key.tag = (bpf_ntohs(tag->tci) & 0xfff) | FLOW_TAGGED;
	p->key.eth_type = tag->eth_type;
	*at = tag + 1;
	return 0;
}

/* Read an IPv4 header at network; return a reason or 0. */
static __always_inline int parse_ipv4(void *network, void *end, struct parsed *p)
{
	struct iphdr *ip = network;

	if ((void *)(ip + 1) > end || ip->version != 4 || bpf_ntohs(ip->tot_len) > p->network_size)
		return FLOW_PASS_MALFORMED;
	if (ip->ihl != 5)
		return FLOW_PASS_OPTIONS;
	if (ip->frag_off & bpf_htons(0x3fff))
		return FLOW_PASS_FRAGMENT;
	if (ip->ttl <= 1)
		return FLOW_PASS_TTL;
	if (header_sum(ip) != 0xffff)
		return FLOW_PASS_CHECKSUM;
	__builtin_memcpy(p->key.source, &ip->saddr, 4);
	__builtin_memcpy(p->key.destination, &ip->daddr, 4);
	__builtin_memcpy(p->seen.first, ip, 4);
	p->seen.ttl = ip->ttl;
	p->key.protocol = ip->protocol;
	/* what the transport header may have; the rest is padding of Ethernet */
	p->network_size = bpf_ntohs(ip->tot_len);
	return 0;
}

static __always_inline int parse_ipv6(void *network, void *end, struct parsed *p)
{
	struct ipv6hdr *ip = network;

	if ((void *)(ip + 1) > end || ip->version != 6 ||
	    bpf_ntohs(ip->payload_len) + sizeof(*ip) > p->network_size)
		return FLOW_PASS_MALFORMED;
	if (ip->hop_limit <= 1)
		return FLOW_PASS_TTL;
	switch (ip->nexthdr) {
	case IPPROTO_HOPOPTS: case IPPROTO_ROUTING: case IPPROTO_DSTOPTS: case IPPROTO_AH:
		return FLOW_PASS_OPTIONS;
	case IPPROTO_FRAGMENT:
		return FLOW_PASS_FRAGMENT;
	}
	__builtin_memcpy(p->key.source, &ip->saddr, 16);
	__builtin_memcpy(p->key.destination, &ip->daddr, 16);
	__builtin_memcpy(p->seen.first, ip, 4);
	p->seen.ttl = ip->hop_limit;
	p->key.protocol = ip->nexthdr;
	p->network_size = bpf_ntohs(ip->payload_len) + sizeof(*ip);
	return 0;
}

/* Read ports and flags; size is what IP says that there is.  Return a reason or 0. */
static __always_inline int parse_tcp(struct tcphdr *tcp, void *end, __u32 size, struct parsed *p)
{
	if ((void *)(tcp + 1) > end || size < sizeof(*tcp) || tcp->doff < 5 || tcp->doff * 4 > size)
		return FLOW_PASS_MALFORMED;
	__builtin_memcpy(&p->key.source_port, tcp, 4);
	__builtin_memcpy(p->seen.tcp_flags, (__u8 *)tcp + 12, 2);
	p->seen.tcp_flags[0] &= 0x0f;
	p->tcp_flags = p->seen.tcp_flags[1];
	return 0;
}

static __always_inline int parse_udp(struct udphdr *udp, void *end, __u32 size, struct parsed *p)
{
	if ((void *)(udp + 1) > end || size < sizeof(*udp) || bpf_ntohs(udp->len) != size)
		return FLOW_PASS_MALFORMED;
	__builtin_memcpy(&p->key.source_port, udp, 4);
	p->unsummed = !udp->check;
	return 0;
}

static __always_inline int parse_echo(__u8 *icmp, void *end, __u32 size, struct parsed *p)
{
	__u8 request = p->key.protocol == IPPROTO_ICMP ? 8 : 128;
	__u8 reply = p->key.protocol == IPPROTO_ICMP ? 0 : 129;

	if ((void *)(icmp + 8) > end || size < 8)
		return FLOW_PASS_MALFORMED;
	if ((icmp[0] != request && icmp[0] != reply) || icmp[1])
		return FLOW_PASS_PROTOCOL;
	__builtin_memcpy(&p->key.destination_port, icmp, 2);
	return 0;
}

/* Read IP and transport at network, size bytes before the end of the frame. */
static __always_inline int parse_network(void *network, void *end, __u32 size, struct parsed *p)
{
	void *transport = network + sizeof(struct iphdr);
	int reason;

	p->network_size = size;
	if (p->key.eth_type == bpf_htons(ETH_P_IP)) {
		reason = parse_ipv4(network, end, p);
		size = p->network_size - sizeof(struct iphdr);
	} else if (p->key.eth_type == bpf_htons(ETH_P_IPV6)) {
		reason = parse_ipv6(network, end, p);
		size = p->network_size - sizeof(struct ipv6hdr);
		transport = network + sizeof(struct ipv6hdr);
	} else if (p->key.eth_type == bpf_htons(ETH_P_8021Q) ||
		   p->key.eth_type == bpf_htons(ETH_P_8021AD)) {
		return FLOW_PASS_TAGS;
	} else {
		return FLOW_PASS_NOT_IP;
	}
	if (reason)
		return reason;
	if (p->network_size < sizeof(struct iphdr) || size > 0xffff)
		return FLOW_PASS_MALFORMED;
	if (p->key.protocol == IPPROTO_TCP)
		return parse_tcp(transport, end, size, p);
	if (p->key.protocol == IPPROTO_UDP)
		return parse_udp(transport, end, size, p);
	if (p->key.protocol == (p->key.eth_type == bpf_htons(ETH_P_IP) ? IPPROTO_ICMP : IPPROTO_ICMPV6))
		return parse_echo(transport, end, size, p);
	return FLOW_PASS_PROTOCOL;
}

/* Make the headers that were read those of a tunnel, and begin anew behind them. */
static __always_inline void take_outer(struct parsed *p, __u32 vni, __u32 popped)
{
	__u32 port = p->key.port;
	struct flow_headers outer = p->seen;

	__builtin_memset(&p->seen, 0, sizeof(p->seen));
	__builtin_memcpy(p->seen.outer_eth_dst, outer.eth_dst, 12);
	__builtin_memcpy(p->seen.outer_first, outer.first, 4);
	p->seen.outer_ttl = outer.ttl;
	__builtin_memcpy(p->seen.outer_source_port, &p->key.source_port, 2);
	__builtin_memcpy(p->seen.outer_source, p->key.source, 16);
	__builtin_memcpy(p->seen.outer_destination, p->key.destination, 16);
	__builtin_memset(&p->key, 0, sizeof(p->key));
	p->key.port = port;
	p->key.vni = vni | FLOW_TUNNELLED;
	p->popped = popped;
	p->unsummed = 0;
}

/* Tell whether the headers that were read are those of VXLAN's port. */
static __always_inline int is_vxlan(const struct parsed *p)
{
	return p->key.protocol == IPPROTO_UDP &&
	       p->key.destination_port == bpf_htons(FLOW_VXLAN_PORT);
}

/* Read the VXLAN header and what is in it; udp is checked.  Return a reason or 0. */
static __always_inline int parse_tunnel(struct udphdr *udp, void *end, __u32 outer, __u32 size,
					struct parsed *p)
{
	struct vxlan_header *vxlan = (void *)(udp + 1);
	void *at = vxlan + 1;
	int reason;

	if (at > end)
		return FLOW_PASS_MALFORMED;
	if (udp->check || p->key.tag || vxlan->flags != bpf_htonl(0x08000000) ||
	    vxlan->vni & bpf_htonl(0xff) || p->network_size != size - sizeof(struct ethhdr))
		return p->key.tag ? FLOW_PASS_TAGS : FLOW_PASS_TUNNEL;
	take_outer(p, bpf_ntohl(vxlan->vni) >> 8, outer);
	reason = parse_ethernet(&at, end, p);
	if (reason)
		return reason;
	size -= outer + sizeof(struct ethhdr) + (p->key.tag ? 4 : 0);
	return parse_network(at, end, size, p);
}

/* UDP over IPv6 has a checksum (RFC 8200); Open vSwitch calls it invalid without, but for a tunnel's. */
static __always_inline int lacks_checksum(const struct parsed *p)
{
	return p->unsummed && p->key.eth_type == bpf_htons(ETH_P_IPV6);
}

/* Read a frame of size bytes, of which those before end can be read.
 *
 * p->key.port is set, all else is 0.  Returns a reason of enum flow_pass, or 0.
 */
static __always_inline int parse(void *data, void *end, __u32 size, struct parsed *p)
{
	void *network = data;
	struct udphdr *udp;
	__u32 outer;
	int reason;

	reason = parse_ethernet(&network, end, p);
	if (reason)
		return reason;
	reason = parse_network(network, end, size - sizeof(struct ethhdr) - (p->key.tag ? 4 : 0), p);
	if (reason)
		return reason;
	if (!is_vxlan(p))
		return lacks_checksum(p) ? FLOW_PASS_CHECKSUM : 0;
	if (p->key.eth_type == bpf_htons(ETH_P_IP)) {
		udp = network + sizeof(struct iphdr);
		outer = sizeof(struct ethhdr) + sizeof(struct iphdr) + 16;
	} else {
		udp = network + sizeof(struct ipv6hdr);
		outer = sizeof(struct ethhdr) + sizeof(struct ipv6hdr) + 16;
	}
	if ((void *)(udp + 1) > end)
		return FLOW_PASS_MALFORMED;
	reason = parse_tunnel(udp, end, outer, size, p);
	if (reason)
		return reason;
	return lacks_checksum(p) ? FLOW_PASS_CHECKSUM : 0;
}

#endif
