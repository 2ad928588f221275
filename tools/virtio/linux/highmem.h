/* SPDX-License-Identifier: GPL-2.0 */
/* Physical addresses are virtual ones here: see phys_to_virt(). */
#ifndef _LINUX_HIGHMEM_H
#define _LINUX_HIGHMEM_H

#define PFN_DOWN(x) ((x) / PAGE_SIZE)
#define pfn_to_page(pfn) ((struct page *)((unsigned long)(pfn) * PAGE_SIZE))
#define kmap_atomic(page) ((void *)(page))
#define kunmap_atomic(addr) ((void)(addr))

#endif /* _LINUX_HIGHMEM_H */
