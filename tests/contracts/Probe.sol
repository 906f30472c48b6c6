// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice A contract to test the chain boundary with: it emits, refuses, burns gas and computes on demand.
contract Probe {
    error BaseTooStale(uint256 base, uint256 oldest);
    error Unheard(uint256 of_);

    event Numbered(uint256 indexed number, address indexed from, bytes32 digest, int16[] list, address[] who);
    event Plain(uint256 number);

    uint256 public count;
    uint256 public gate;
    mapping(uint256 => uint256) private _filled;

    receive() external payable {}

    function emitOne(int16[] calldata list, address[] calldata who) external payable {
        emit Numbered(++count, msg.sender, keccak256(abi.encode(count)), list, who);
    }

    function emitMany(uint256 n) external {
        for (uint256 i = 0; i < n; ++i) emit Plain(++count);
    }

    function refuse() external pure {
        revert BaseTooStale(3, 7);
    }

    function refuseUnheard() external pure {
        revert Unheard(1);
    }

    function refuseInWords() external pure {
        revert("in words");
    }

    function refuseSilently() external pure {
        assembly {
            revert(0, 0)
        }
    }

    function panic(uint256 by) external pure returns (uint256) {
        return 1 / by;
    }

    /// @notice Passes until somebody sets the gate, as a phase that ends between the look and the block.
    function passBefore(uint256 limit) external {
        if (gate >= limit) revert BaseTooStale(gate, limit);
        ++count;
    }

    function setGate(uint256 value) external {
        gate = value;
    }

    /// @notice Costs little until the gate is set, then as much as it says.
    function heavy() external {
        for (uint256 i = 0; i < gate; ++i) _filled[++count] = 1;
    }

    /// @notice As the federation hashes a reveal.
    function commitment(
        uint256 chainId,
        address federation,
        uint32 window,
        uint64 tag,
        address validator,
        bytes calldata scores,
        uint8 keep,
        bytes32 salt
    ) external pure returns (bytes32) {
        return keccak256(abi.encode(chainId, federation, window, tag, validator, scores, keep, salt));
    }
}
