// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

/// @title What an attacker can think of, and what comes of it
abstract contract Attacks is Setup {
    uint96 internal constant SLASH = STAKE / 50;
    address internal constant STRANGER = address(0xB0B);

    function who(address account) internal view returns (IFederation.Participant memory) {
        return federation.participant(account);
    }

    function judging() internal view returns (uint32) {
        return federation.head().judgingWindow;
    }

    function callAs(address account, bytes memory call) internal {
        vm.prank(account);
        (bool done, bytes memory answer) = address(federation).call(call);
        if (!done) vm.assertEq(answer, "", "the call was refused");
    }

    function same(int16 score, uint256 count) internal pure returns (int16[] memory scores) {
        scores = new int16[](count);
        for (uint256 i = 0; i < count; ++i) scores[i] = score;
    }

    /// @notice These validators commit, and later reveal; the others sleep.
    function scoreFrom(uint256 first, uint256 end) internal {
        for (uint256 i = first; i < end; ++i) commitAs(validators[i]);
        if (judged().phase == IFederation.Phase.Commit) passDeadline();
        for (uint256 i = first; i < end; ++i) revealAs(validators[i]);
    }

    /// @notice One call a window, by a stranger, ends all windows that wait.
    function endAll() internal {
        uint256 calls;
        while (judging() != federation.head().openWindow) {
            vm.assertLt(calls++, 8, "one call a window");
            jump(7 days);
            callAs(STRANGER, abi.encodeCall(IFederation.discard, (judging())));
        }
    }
}
