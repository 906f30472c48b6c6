"""The whole boundary to the chain; nothing outside this room imports web3."""
