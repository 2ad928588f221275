/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Trace events of vhost-vdpa: mappings made and removed, messages refused, which
 * address space each group of virtqueues is bound to, and what resets that.  dev
 * is the name of the vDPA device, as `vdpa dev show` has it.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM vhost_vdpa

#if !defined(_TRACE_VHOST_VDPA_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_VHOST_VDPA_H

#include <linux/tracepoint.h>
#include <linux/vdpa.h>
#include <linux/vhost_types.h>

#define show_vhost_msg(type)						\
	__print_symbolic(type,						\
			 { VHOST_IOTLB_MISS, "MISS" },			\
			 { VHOST_IOTLB_UPDATE, "UPDATE" },		\
			 { VHOST_IOTLB_INVALIDATE, "INVALIDATE" },	\
			 { VHOST_IOTLB_ACCESS_FAIL, "ACCESS_FAIL" },	\
			 { VHOST_IOTLB_BATCH_BEGIN, "BATCH_BEGIN" },	\
			 { VHOST_IOTLB_BATCH_END, "BATCH_END" })

#define show_vhost_access(perm)						\
	__print_symbolic(perm,						\
			 { VHOST_ACCESS_RO, "ro" },			\
			 { VHOST_ACCESS_WO, "wo" },			\
			 { VHOST_ACCESS_RW, "rw" })

/* An UPDATE has made a mapping */
TRACE_EVENT(vhost_vdpa_map,
	    TP_PROTO(struct vdpa_device *vdpa, u32 asid, u64 iova, u64 size,
		     u64 uaddr, u8 perm),
	    TP_ARGS(vdpa, asid, iova, size, uaddr, perm),
	    TP_STRUCT__entry(__string(dev, dev_name(&vdpa->dev))
			     __field(u32, asid)
			     __field(u64, iova)
			     __field(u64, size)
			     __field(u64, uaddr)
			     __field(u8, perm)),
	    TP_fast_assign(__assign_str(dev, dev_name(&vdpa->dev));
			   __entry->asid = asid;
			   __entry->iova = iova;
			   __entry->size = size;
			   __entry->uaddr = uaddr;
			   __entry->perm = perm;),
	    TP_printk("dev=%s asid=%u iova=0x%llx size=0x%llx uaddr=0x%llx perm=%s",
		      __get_str(dev), __entry->asid, __entry->iova, __entry->size,
		      __entry->uaddr, show_vhost_access(__entry->perm)));

/*
 * A mapping has been removed, always as a whole.  In a batch, a parent with
 * set_map may be told later, at the latest when the batch ends.
 */
TRACE_EVENT(vhost_vdpa_unmap,
	    TP_PROTO(struct vdpa_device *vdpa, u32 asid, u64 iova, u64 size),
	    TP_ARGS(vdpa, asid, iova, size),
	    TP_STRUCT__entry(__string(dev, dev_name(&vdpa->dev))
			     __field(u32, asid)
			     __field(u64, iova)
			     __field(u64, size)),
	    TP_fast_assign(__assign_str(dev, dev_name(&vdpa->dev));
			   __entry->asid = asid;
			   __entry->iova = iova;
			   __entry->size = size;),
	    TP_printk("dev=%s asid=%u iova=0x%llx size=0x%llx",
		      __get_str(dev), __entry->asid, __entry->iova, __entry->size));

/*
 * A message has been refused.  write(2) returns EFAULT for every reason; errno
 * has the reason.  limit, pinned and wanted, in pages, are 0 unless it is that
 * RLIMIT_MEMLOCK is exceeded.
 */
TRACE_EVENT(vhost_vdpa_refuse,
	    TP_PROTO(struct vdpa_device *vdpa, u32 type, u32 asid, u64 iova,
		     u64 size, int error, u64 limit, u64 pinned, u64 wanted),
	    TP_ARGS(vdpa, type, asid, iova, size, error, limit, pinned, wanted),
	    TP_STRUCT__entry(__string(dev, dev_name(&vdpa->dev))
			     __field(u32, type)
			     __field(u32, asid)
			     __field(u64, iova)
			     __field(u64, size)
			     __field(int, error)
			     __field(u64, limit)
			     __field(u64, pinned)
			     __field(u64, wanted)),
	    TP_fast_assign(__assign_str(dev, dev_name(&vdpa->dev));
			   __entry->type = type;
			   __entry->asid = asid;
			   __entry->iova = iova;
			   __entry->size = size;
			   __entry->error = error;
			   __entry->limit = limit;
			   __entry->pinned = pinned;
			   __entry->wanted = wanted;),
	    TP_printk("dev=%s type=%s asid=%u iova=0x%llx size=0x%llx errno=%d limit=%llu pinned=%llu wanted=%llu",
		      __get_str(dev), show_vhost_msg(__entry->type), __entry->asid,
		      __entry->iova, __entry->size, __entry->error,
		      __entry->limit, __entry->pinned, __entry->wanted));

/* A group of virtqueues has been bound to an address space */
TRACE_EVENT(vhost_vdpa_set_group_asid,
	    TP_PROTO(struct vdpa_device *vdpa, u32 group, u32 asid),
	    TP_ARGS(vdpa, group, asid),
	    TP_STRUCT__entry(__string(dev, dev_name(&vdpa->dev))
			     __field(u32, group)
			     __field(u32, asid)),
	    TP_fast_assign(__assign_str(dev, dev_name(&vdpa->dev));
			   __entry->group = group;
			   __entry->asid = asid;),
	    TP_printk("dev=%s group=%u asid=%u",
		      __get_str(dev), __entry->group, __entry->asid));

DECLARE_EVENT_CLASS(vhost_vdpa_device,
		    TP_PROTO(struct vdpa_device *vdpa),
		    TP_ARGS(vdpa),
		    TP_STRUCT__entry(__string(dev, dev_name(&vdpa->dev))),
		    TP_fast_assign(__assign_str(dev, dev_name(&vdpa->dev));),
		    TP_printk("dev=%s", __get_str(dev)));

/* A device has been reset: all groups are bound to address space 0 again */
DEFINE_EVENT(vhost_vdpa_device, vhost_vdpa_reset,
	     TP_PROTO(struct vdpa_device *vdpa),
	     TP_ARGS(vdpa));

/* A device has been suspended */
DEFINE_EVENT(vhost_vdpa_device, vhost_vdpa_suspend,
	     TP_PROTO(struct vdpa_device *vdpa),
	     TP_ARGS(vdpa));

/* A suspended device runs again */
DEFINE_EVENT(vhost_vdpa_device, vhost_vdpa_resume,
	     TP_PROTO(struct vdpa_device *vdpa),
	     TP_ARGS(vdpa));

#endif /* _TRACE_VHOST_VDPA_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
