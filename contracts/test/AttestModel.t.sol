// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract AttestModelTest is Setup {
    bytes32 private constant MODEL = keccak256("model");
    bytes32 private constant OTHER = keccak256("other");
    uint64 private _tag;

    function setUp() public {
        _begin(6);
    }

    function _begin(uint256 seats) private {
        deployRunning(usual(), seats);
        fillWindow();
        scoreAll();
        tally();
        _tag = judged().tag;
    }

    function _refuses(address who, bytes32 digest, bytes memory refusal) private {
        refuses(who, abi.encodeCall(IFederation.attestModel, (1, _tag, digest, 0)), refusal);
    }

    // ----- Versions -----

    function testFuzz_attestModel_recordsDigestAndMetric(bytes32 digest, int64 metric) public {
        vm.assume(digest != 0);
        vm.expectEmit(address(federation));
        emit IFederation.ModelAttested(1, validators[2], digest, metric);
        vm.prank(validators[2]);
        federation.attestModel(1, _tag, digest, metric);
        vm.assertEq(judged().attested, 4);
        vm.assertEq(federation.head().version, 0);
    }

    function test_attestModel_makesAVersionAtTwoThirdsOfTheActiveWeight() public {
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], MODEL);
        attestAs(validators[3], OTHER);
        vm.assertEq(federation.head().version, 0);
        vm.expectEmit(address(federation));
        emit IFederation.VersionFinalized(1, 1, MODEL);
        vm.prank(validators[4]);
        federation.attestModel(1, _tag, MODEL, 0);

        vm.assertEq(federation.head().version, 1);
        vm.assertEq(federation.modelDigest(1), MODEL);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Attest), "until it is settled");
        vm.assertEq(judged().baseVersion, 0);
        submitAs(trainers[4], 1, newDigest(), RAW, 1);
    }

    function test_attestModel_countsTheUnrevealedInTheActiveWeight() public {
        deployRunning(usual(), 6);
        fillWindow();
        for (uint256 i = 0; i < 4; ++i) commitAs(validators[i]);
        passDeadline();
        for (uint256 i = 0; i < 4; ++i) revealAs(validators[i]);
        tally();
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], MODEL);
        vm.assertEq(federation.head().version, 0);
        attestAs(validators[5], MODEL); // has a seat, though it did not score
        vm.assertEq(federation.head().version, 1);
    }

    function test_attestModel_takesMoreUntilTheEnd() public {
        for (uint256 i = 0; i < 4; ++i) attestAs(validators[i], MODEL);
        vm.assertEq(federation.head().version, 1);
        attestAs(validators[4], OTHER);
        vm.assertEq(judged().attested, 31);
        vm.assertEq(federation.head().version, 1, "final once");
        vm.expectEmit(true, false, false, false, address(federation));
        emit IFederation.WindowSettled(1, true, new uint256[](0), "", new uint256[](0), "");
        vm.prank(validators[5]);
        federation.attestModel(1, _tag, MODEL, 0);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Final));
        vm.assertEq(federation.head().judgingWindow, 2);
    }

    /// As many candidates as validators.
    function test_attestModel_endsAsVoidWhenAllDisagree() public {
        _begin(32);
        for (uint256 i = 0; i < 31; ++i) attestAs(validators[i], keccak256(abi.encode(i)));
        vm.expectEmit(address(federation));
        emit IFederation.WindowVoided(1, IFederation.VoidReason.NoQuorum);
        vm.prank(validators[31]);
        federation.attestModel(1, _tag, OTHER, 0);
        vm.assertEq(federation.head().version, 0);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Void));
    }

    /// Whoever attests what: final is what two thirds of the weight attested, and nothing before.
    function testFuzz_attestModel_countsEachDigestApart(
        uint8[6] memory choices,
        uint96[6] memory stakes
    ) public {
        deploy(usual());
        joinTrainers(5);
        for (uint256 i = 0; i < 6; ++i) joinValidator(bound(stakes[i], STAKE, 4 * STAKE));
        fillWindow();
        scoreAll();
        tally();
        uint256 total;
        uint256[4] memory votes;
        for (uint8 i = 0; i < 6; ++i) total += federation.weightOf(i);
        bool isFinal;
        for (uint8 i = 0; i < 5; ++i) {
            uint256 choice = choices[i] % 8 > 3 ? 0 : choices[i] % 4; // half of them agree
            votes[choice] += federation.weightOf(i);
            attestAs(validators[i], keccak256(abi.encode(choice)));
            if (!isFinal && 3 * votes[choice] >= 2 * total) {
                isFinal = true;
                vm.assertEq(federation.modelDigest(1), keccak256(abi.encode(choice)));
            }
            vm.assertEq(federation.head().version, isFinal ? 1 : 0);
        }
    }

    // ----- When, who, what -----

    function test_attestModel_takesTheLastSecondAndNoLater() public {
        uint256 deadline = judged().deadline;
        vm.assertEq(deadline, time() + 30 minutes);
        vm.warp(deadline);
        attestAs(validators[0], MODEL);
        vm.warp(deadline + 1);
        bytes memory refusal = abi.encodeWithSelector(IFederation.TooLate.selector, deadline);
        _refuses(validators[1], MODEL, refusal);
    }

    function test_attestModel_waitsForTheTally() public {
        deployRunning(usual(), 4);
        fillWindow();
        _tag = judged().tag;
        bytes4 refusal = IFederation.WrongPhase.selector;
        IFederation.Phase needed = IFederation.Phase.Attest;
        bytes memory commit = abi.encodeWithSelector(refusal, 1, IFederation.Phase.Commit, needed);
        _refuses(validators[0], MODEL, commit);
        scoreAll();
        bytes memory counts = abi.encodeWithSelector(refusal, 1, IFederation.Phase.Tally, needed);
        _refuses(validators[0], MODEL, counts);
    }

    function testFuzz_attestModel_refusesAnotherTag(uint64 tag) public {
        vm.assume(tag != _tag);
        bytes memory call = abi.encodeCall(IFederation.attestModel, (1, tag, MODEL, 0));
        bytes memory refusal = abi.encodeWithSelector(IFederation.WrongTag.selector, tag, _tag);
        refuses(validators[0], call, refusal);
    }

    function test_attestModel_refusesAnotherWindow() public {
        bytes memory call = abi.encodeCall(IFederation.attestModel, (2, _tag, MODEL, 0));
        bytes memory refusal = abi.encodeWithSelector(IFederation.NotJudgedNow.selector, 2, 1);
        refuses(validators[0], call, refusal);
    }

    function test_attestModel_refusesASecond() public {
        attestAs(validators[0], MODEL);
        bytes4 refusal = IFederation.AlreadyActed.selector;
        _refuses(validators[0], OTHER, abi.encodeWithSelector(refusal, validators[0]));
    }

    function test_attestModel_refusesWhoDoesNotJudge() public {
        bytes4 refusal = IFederation.NotActiveValidator.selector;
        address newcomer = joinValidator(STAKE);
        _refuses(newcomer, MODEL, abi.encodeWithSelector(refusal, newcomer));
        _refuses(owner, MODEL, abi.encodeWithSelector(refusal, owner));
    }

    function test_attestModel_refusesNoDigest() public {
        bytes4 refusal = IFederation.InvalidRoot.selector;
        bytes memory given = abi.encodeWithSelector(refusal, bytes32(0), usualGenesis().modelCodec);
        _refuses(validators[0], 0, given);
    }
}
