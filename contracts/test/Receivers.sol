// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";

/// @title Those to whom a federation may pay, at their worst

/// @notice Takes no money.
contract Refuser {
    error Refused(uint256 amount);

    receive() external payable {
        revert Refused(msg.value);
    }
}

/// @notice Whenever it is paid, asks for everything that it could be paid again.
contract Reenterer {
    uint256 public attempts;
    uint256 public successes;
    bytes public refusal; // of the last attempt

    receive() external payable {
        _try(abi.encodeCall(IFederation.withdraw, ()));
        _try(abi.encodeCall(IFederation.claim, ()));
        _try(abi.encodeCall(IFederation.sweepSlashed, ()));
        _try(abi.encodeCall(IFederation.sweepPool, ()));
        bytes[] memory calls = new bytes[](2);
        calls[0] = abi.encodeCall(IFederation.claim, ());
        calls[1] = abi.encodeCall(IFederation.withdraw, ());
        _try(abi.encodeWithSignature("multicall(bytes[])", calls));
    }

    function _try(bytes memory call) private {
        ++attempts;
        bool done;
        (done, refusal) = msg.sender.call(call);
        if (done) ++successes;
    }
}
