"""Where payloads lie: one interface, several stores, CIDs computed by ourselves."""
