// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {IHeir} from "./Tokens.sol";

/// @title Those to whom a federation may pay, at their worst
/// @notice Native money calls them by itself, a token that they register with by `onMove`.

/// @notice Takes no money.
contract Refuser is IHeir {
    error Refused(uint256 amount);

    receive() external payable {
        revert Refused(msg.value);
    }

    function onMove(address, address to, uint256 amount) external view {
        if (to == address(this)) revert Refused(amount);
    }
}

/// @notice Burns whatever gas it is given.
contract Glutton {
    receive() external payable {
        while (true) {}
    }
}

/// @notice Whenever it is paid, or pays, asks for everything that it could be paid again.
contract Reenterer is IHeir {
    uint256 public attempts;
    uint256 public successes;
    bytes public refusal; // of the last attempt
    bool private _isTrying; // what succeeds calls again: once is enough to be counted

    receive() external payable {
        if (_isTrying) return;
        _isTrying = true;
        _tryAll(msg.sender);
        _isTrying = false;
    }

    function onMove(address from, address to, uint256) external {
        if (_isTrying) return;
        _isTrying = true;
        address federation = from == address(this) ? to : from;
        _try(federation, abi.encodeCall(IFederation.join, (3, bytes32(0), 1)));
        _try(federation, abi.encodeCall(IFederation.topUp, (0)));
        _try(federation, abi.encodeCall(IFederation.fund, (0)));
        _tryAll(federation);
        _isTrying = false;
    }

    function _tryAll(address federation) private {
        _try(federation, abi.encodeCall(IFederation.withdraw, ()));
        _try(federation, abi.encodeCall(IFederation.claim, ()));
        _try(federation, abi.encodeCall(IFederation.sweepSlashed, ()));
        _try(federation, abi.encodeCall(IFederation.sweepPool, ()));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IFederation.claim, ());
        calls[1] = abi.encodeCall(IFederation.withdraw, ());
        _try(federation, abi.encodeWithSignature("multicall(bytes[])", calls));
    }

    function _try(address federation, bytes memory call) private {
        ++attempts;
        bool done;
        (done, refusal) = federation.call(call);
        if (done) ++successes;
    }
}
