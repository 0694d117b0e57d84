/* SPDX-License-Identifier: Apache-2.0 */
/* Headers as they leave, written into a frame that has its new size. */
#ifndef VIRTBOOST_TRANSPOSE_H
#define VIRTBOOST_TRANSPOSE_H

#include "parse.h"

/* Write addresses and, if the frame leaves with one, a tag.  Return where IP begins, or NULL. */
static __always_inline void *write_ethernet(void *eth, void *end, const struct parsed *p,
					    const struct flow_entry *entry)
{
	struct ethhdr *header = eth;
	__u8 *bytes = eth;
	__u16 changes = entry->changes;
	int tagged = changes & FLOW_PUSH_TAG || (p->key.tag && !(changes & FLOW_POP_TAG));

	if ((void *)(header + 1) + 4 > end)
		return NULL;
#pragma unroll
	for (int i = 0; i < 12; i++)
		bytes[i] = (p->seen.eth_dst[i] & entry->eth_keep[i]) | entry->eth[i];
	if (changes & FLOW_PUSH_TAG)
		__builtin_memcpy(bytes + 12, entry->tag, 4);
	else if (tagged)
		__builtin_memcpy(bytes + 12, p->seen.tpid, 4);
	__builtin_memcpy(bytes + (tagged ? 16 : 12), &p->key.eth_type, 2);
	return bytes + (tagged ? 18 : 14);
}

/* Write the first word; return what the sum of its header grows by. */
static __always_inline __u32 write_first(__u8 *first, const struct flow_entry *entry)
{
	__u16 *words = (__u16 *)first;
	__u32 delta = (__u16)~words[0];

#pragma unroll
	for (int i = 0; i < 4; i++)
		first[i] = (first[i] & entry->first_keep[i]) | entry->first[i];
	return delta + words[0];
}

/* Return what is written to; NULL: the frame is too short. */
static __always_inline void *write_ipv4(void *network, void *end, const struct flow_entry *entry)
{
	struct iphdr *ip = network;
	__u16 *life = network + 8;
	__u32 delta = entry->ip_delta;

	if ((void *)(ip + 1) > end)
		return NULL;
	delta += write_first(network, entry) + (__u16)~*life;
	ip->ttl = (ip->ttl & entry->ttl_keep) | entry->ttl;
	delta += *life;
	__builtin_memcpy(&ip->saddr, entry->source, 4);
	__builtin_memcpy(&ip->daddr, entry->destination, 4);
	adjust(&ip->check, delta);
	return ip + 1;
}

static __always_inline void *write_ipv6(void *network, void *end, const struct flow_entry *entry)
{
	struct ipv6hdr *ip = network;

	if ((void *)(ip + 1) > end)
		return NULL;
	write_first(network, entry);
	ip->hop_limit = (ip->hop_limit & entry->ttl_keep) | entry->ttl;
	__builtin_memcpy(&ip->saddr, entry->source, 16);
	__builtin_memcpy(&ip->daddr, entry->destination, 16);
	return ip + 1;
}

/* Write the IP header and ports; checksums of the transport are the program's.
 *
 * Returns where the transport begins; NULL: the frame is too short.
 */
static __always_inline void *write_network(void *network, void *end, const struct parsed *p,
					   const struct flow_entry *entry)
{
	__u16 *ports;

	if (p->key.eth_type == bpf_htons(ETH_P_IP))
		ports = write_ipv4(network, end, entry);
	else
		ports = write_ipv6(network, end, entry);
	if (!ports || (void *)(ports + 2) > end)
		return NULL;
	if (p->key.protocol == IPPROTO_TCP || p->key.protocol == IPPROTO_UDP) {
		ports[0] = entry->source_port;
		ports[1] = entry->destination_port;
	}
	return ports;
}

/* Write the outer headers of a frame of size bytes; return 0, or -1: the frame is too short. */
static __always_inline int write_outer(void *data, void *end, const struct flow_entry *entry,
				       __u32 size)
{
	struct iphdr *ip = data + sizeof(struct ethhdr);
	struct ipv6hdr *ip6 = data + sizeof(struct ethhdr);
	struct udphdr *udp;

	if (data + 50 > end)
		return -1;
	__builtin_memcpy(data, entry->push, 50);
	if (entry->push_size == 50) {
		udp = (void *)(ip + 1);
		ip->tot_len = bpf_htons(size - sizeof(struct ethhdr));
		ip->check = ~folded((__u32)entry->push_sum + ip->tot_len);
		udp->len = bpf_htons(size - sizeof(struct ethhdr) - sizeof(*ip));
		return 0;
	}
	if (data + FLOW_PUSH_MAX > end)
		return -1;
	__builtin_memcpy(data + 50, entry->push + 50, FLOW_PUSH_MAX - 50);
	udp = (void *)(ip6 + 1);
	ip6->payload_len = bpf_htons(size - sizeof(struct ethhdr) - sizeof(*ip6));
	udp->len = ip6->payload_len;
	return 0;
}

#endif
