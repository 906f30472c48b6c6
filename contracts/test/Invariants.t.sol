// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Handler} from "./Handler.sol";
import {Setup} from "./Setup.sol";

/// @title What holds whatever anybody does
/// @notice `Ghost` says what is compared, `Handler` what is done. Longer: FUZZ_SEED=0x…, INVARIANT_RUNS=…,
/// INVARIANT_DEPTH=….
abstract contract Life is Setup {
    Handler internal handler;

    /// @dev Short times, so that a life is short.
    function brisk() internal view returns (IFederation.Parameters memory p) {
        p = usual();
        p.windowSize = 5;
        p.minUpdates = 2;
        (p.maxWait, p.commitPeriod, p.revealPeriod, p.attestPeriod) = (60, 30, 30, 30);
        p.minValidators = 3;
        p.jailPeriod = 300;
        p.unbondingPeriod = 2 * 60 + 8 * 150;
    }

    function begin(IFederation.Parameters memory p, uint256 people) internal {
        vm.warp(1_700_000_000);
        deploy(p);
        handler = Handler(create("Handler.sol:Handler", abi.encode(federation, ownerKey, people)));
    }

    function live(uint256 seed, uint256 steps) internal {
        for (uint256 i = 0; i < steps; ++i) {
            if (i + steps / 20 == steps) handler.allowClosing();
            handler.step(uint256(keccak256(abi.encode(seed, i))));
        }
    }
}

contract InvariantsTest is Life {
    function setUp() public {
        begin(brisk(), 12);
        targetContract(address(handler));
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Handler.step.selector;
        targetSelectors(address(handler), selectors);
    }

    /// @notice Stakes, pool, credits and slashed money, each to the unit, are the balance; nobody's stake moves
    /// without a fault or their own act; versions grow and stay; shares sum to at most one; every window ends; the
    /// tally never reverts: all of it after every step (see `Ghost.check` and `Handler`).
    /// hardhat-config: invariant.failOnRevert = true
    function invariant_theBooksAgree() public {
        handler.check();
    }

    function afterInvariant() public {
        handler.finish();
    }
}

/// @notice The same with a token that calls whom it moves money of: nothing else knows of the currency.
contract InvariantsWithATokenTest is Life {
    function setUp() public {
        IFederation.Parameters memory p = brisk();
        p.currency = create("Tokens.sol:HookedToken", "");
        begin(p, 12);
        targetContract(address(handler));
        bytes4[] memory selectors = new bytes4[](1);
        selectors[0] = Handler.step.selector;
        targetSelectors(address(handler), selectors);
    }

    /// hardhat-config: invariant.runs = 8
    /// hardhat-config: invariant.failOnRevert = true
    function invariant_theBooksAgreeWithAToken() public {
        handler.check();
    }

    function afterInvariant() public {
        handler.finish();
    }
}

/// @notice Long lives, whose counters show that every transition was reached.
contract LongLifeTest is Life {
    struct Event {
        bytes32 topic;
        string name;
    }

    /// hardhat-config: fuzz.runs = 16
    function testFuzz_theBooksAgreeInAnyLife(uint256 seed) public {
        IFederation.Parameters memory p = brisk();
        if (seed % 2 == 0) p.commitPeriod = 0;
        if (seed % 3 == 0) p.open = false;
        if (seed % 5 == 0) p.minStake = 1e6;
        if (seed % 7 == 0) p.minStake = 2 ** 88;
        if (seed % 4 == 1) p.currency = create("Tokens.sol:HookedToken", "");
        if (seed % 11 == 0) (p.windowSize, p.minUpdates, p.minValidators) = (1, 1, 1);
        begin(p, 8 + (seed % 10));
        live(seed, 300);
        handler.finish();
    }

    function test_aLongLifeReachesEveryTransition() public {
        IFederation.Parameters memory p = brisk();
        p.minValidators = 7; // of nine, so that now and then too few can judge
        begin(p, 12);
        live(1, 1200);
        vm.assertGt(handler.reached(IFederation.Withdrawn.selector), 0, "nobody left in time");
        handler.finish();
        checkReached();
    }

    function test_aLongLifeWithAToken() public {
        IFederation.Parameters memory p = brisk();
        p.currency = create("Tokens.sol:HookedToken", "");
        begin(p, 12);
        live(3, 400);
        vm.assertGt(handler.reached(IFederation.Withdrawn.selector), 0, "nobody left in time");
        handler.finish();
        vm.assertGt(handler.reached(IFederation.Claimed.selector), 0, "nobody claimed");
        vm.assertGt(handler.reached(IFederation.SlashedSwept.selector), 0, "nothing was slashed");
        vm.assertGt(handler.reached(IFederation.PoolSwept.selector), 0, "no pool was left");
    }

    function test_aCrowdTakesSeatsFromEachOther() public {
        IFederation.Parameters memory p = brisk();
        p.windowSize = 16;
        p.commitPeriod = 0;
        p.open = false;
        begin(p, 48);
        live(2, 200);
        handler.finish();
        vm.assertGt(handler.evictions(), 0, "no seat was taken over");
    }

    function checkReached() internal view {
        Event[23] memory events = [
            Event(IFederation.Joined.selector, "Joined"),
            Event(IFederation.ProfileChanged.selector, "ProfileChanged"),
            Event(IFederation.StakeAdded.selector, "StakeAdded"),
            Event(IFederation.SeatTaken.selector, "SeatTaken"),
            Event(IFederation.SeatLeft.selector, "SeatLeft"),
            Event(IFederation.ExitRequested.selector, "ExitRequested"),
            Event(IFederation.Withdrawn.selector, "Withdrawn"),
            Event(IFederation.FellAsleep.selector, "FellAsleep"),
            Event(IFederation.Woke.selector, "Woke"),
            Event(IFederation.InvitationEpochBumped.selector, "InvitationEpochBumped"),
            Event(IFederation.WindowSealed.selector, "WindowSealed"),
            Event(IFederation.TurnBegan.selector, "TurnBegan"),
            Event(IFederation.ScoresCommitted.selector, "ScoresCommitted"),
            Event(IFederation.ScoresRevealed.selector, "ScoresRevealed"),
            Event(IFederation.WindowTallied.selector, "WindowTallied"),
            Event(IFederation.VersionFinalized.selector, "VersionFinalized"),
            Event(IFederation.WindowSettled.selector, "WindowSettled"),
            Event(IFederation.Claimed.selector, "Claimed"),
            Event(IFederation.SlashedSwept.selector, "SlashedSwept"),
            Event(IFederation.PoolSwept.selector, "PoolSwept"),
            Event(IFederation.Paused.selector, "Paused"),
            Event(IFederation.Unpaused.selector, "Unpaused"),
            Event(IFederation.Closed.selector, "Closed")
        ];
        for (uint256 i = 0; i < events.length; ++i) {
            vm.assertGt(handler.reached(events[i].topic), 0, events[i].name);
        }
        for (uint8 reason = 0; reason <= uint8(type(IFederation.VoidReason).max); ++reason) {
            uint256 count = handler.voids(IFederation.VoidReason(reason));
            vm.assertGt(count, 0, string.concat("no void for reason ", vm.toString(reason)));
        }
        for (uint8 fault = 0; fault <= uint8(type(IFederation.Fault).max); ++fault) {
            uint256 count = handler.faults(IFederation.Fault(fault));
            vm.assertGt(count, 0, string.concat("no slash for fault ", vm.toString(fault)));
        }
        for (uint8 verdict = 1; verdict <= uint8(type(IFederation.Verdict).max); ++verdict) {
            uint256 count = handler.verdicts(IFederation.Verdict(verdict));
            vm.assertGt(count, 0, string.concat("never the verdict ", vm.toString(verdict)));
        }
        vm.assertGt(handler.jails(TRAINER), 0, "no trainer was jailed");
        vm.assertGt(handler.jails(VALIDATOR), 0, "no validator was jailed");
    }
}
