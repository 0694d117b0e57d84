"""Container networks of many hosts: described, compared by design, sized (pure)."""
