/* SPDX-License-Identifier: Apache-2.0 */
/* Sums in ones' complement arithmetic of 16 bits (RFC 1071, RFC 1624), of words as they lie. */
#ifndef VIRTBOOST_CHECKSUM_H
#define VIRTBOOST_CHECKSUM_H

#include <linux/types.h>

static __always_inline __u16 folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* Return the folded sum of an IPv4 header without options: 0xffff if its checksum is right. */
static __always_inline __u16 header_sum(const void *header)
{
	const __u16 *words = header;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < 10; i++)
		sum += words[i];
	return folded(sum);
}

/* Let a checksum follow a sum that grows by delta (RFC 1624, equation 3). */
static __always_inline void adjust(__u16 *checksum, __u32 delta)
{
	*checksum = ~folded((__u16)~*checksum + delta);
}

#endif
