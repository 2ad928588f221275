/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A stock kernel's <linux/mm.h>, and what it lacks.  scripts/modules puts this in
 * the place of the series' own.
 */
#ifndef VDPA_CVQ_MM_H
#define VDPA_CVQ_MM_H

#include_next <linux/mm.h>

/* The same a page at a time, which costs more: the kernel's own needs mm/gup.c. */
static inline void
unpin_user_page_range_dirty_lock(struct page *page, unsigned long npages,
				 bool make_dirty)
{
	unsigned long pfn = page_to_pfn(page), end = pfn + npages;

	for (; pfn < end; pfn++) {
		page = pfn_to_page(pfn);
		unpin_user_pages_dirty_lock(&page, 1, make_dirty);
	}
}

#endif
