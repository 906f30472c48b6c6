// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Cid} from "../libraries/Cid.sol";
import {Setup} from "./Setup.sol";

contract ViewsTest is Setup {
    mapping(uint256 updateId => bytes32) private _digestOf;

    function setUp() public {
        deploy(tiny());
        joinTrainers(10);
        joinValidators(4);
    }

    function _submit(uint256 trainer) private returns (uint256 id) {
        bytes32 digest = newDigest();
        uint8 codec = uint256(digest) % 2 == 0 ? RAW : DAG_PB;
        id = submitAs(trainers[trainer], federation.head().version, digest, codec, 1);
        _digestOf[id] = digest;
    }

    function _refusesUpdate(uint256 id) private {
        bytes memory refusal = abi.encodeWithSelector(IFederation.UpdateForgotten.selector, id);
        refuses(address(this), abi.encodeCall(IFederation.update, (id)), refusal);
        refuses(address(this), abi.encodeCall(IFederation.cidOf, (id)), refusal);
    }

    function _refusesWindow(uint32 id) private {
        bytes memory refusal = abi.encodeWithSelector(IFederation.NoSuchWindow.selector, id);
        refuses(address(this), abi.encodeCall(IFederation.window, (id)), refusal);
    }

    // ----- The ring -----

    /// Twenty windows through eight slots: each shows its own, until the window eight later has an update.
    function test_update_showsTheLastEightWindows() public {
        for (uint32 w = 1; w <= 20; ++w) {
            vm.assertEq(_submit(0), 16 * uint256(w));
            bool isAccepted = w % 3 != 0;
            allWillScore(isAccepted ? int16(50) : -2000);
            scoreAll();
            tally();
            if (isAccepted) attestAll(nextModel());
            if (federation.participant(trainers[0]).trainerJailedUntil != 0) jump(2 days);
            uint32 oldest = w < 8 ? 1 : w - 7;
            for (uint32 k = oldest; k <= w; ++k) {
                IFederation.Window memory seen = federation.window(k);
                IFederation.Update memory u = federation.update(16 * uint256(k));
                bool wasAccepted = k % 3 != 0;
                IFederation.Phase phase =
                    wasAccepted ? IFederation.Phase.Final : IFederation.Phase.Void;
                IFederation.Verdict verdict =
                    wasAccepted ? IFederation.Verdict.Paid : IFederation.Verdict.Rejected;
                vm.assertEq(seen.id, k);
                vm.assertEq(uint8(seen.phase), uint8(phase));
                vm.assertEq(seen.updates, 1);
                vm.assertEq(uint256(seen.deadline) + seen.tag + seen.active, 0);
                vm.assertEq(u.rootDigest, _digestOf[u.id]);
                vm.assertEq(u.rootCodec, uint256(u.rootDigest) % 2 == 0 ? RAW : DAG_PB);
                vm.assertEq(uint8(u.verdict), uint8(verdict));
                vm.assertEq(u.share, wasAccepted ? 1e6 : 0);
                _refusesUpdate(u.id + 1);
            }
            if (w > 8) {
                _refusesUpdate(16 * uint256(w - 8));
                _refusesWindow(w - 8);
            }
            _refusesUpdate(16 * uint256(w + 1));
            _refusesWindow(w + 2);
        }
        vm.assertEq(federation.head().version, 14);
    }

    function test_window_showsTheJudgedWindowWhenTheQueueIsFull() public {
        for (uint256 i = 0; i < 8; ++i) _submit(i);
        vm.assertEq(federation.head().openWindow, 9);
        vm.assertEq(judged().id, 1);
        vm.assertEq(uint8(judged().phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(federation.update(16).rootDigest, _digestOf[16]);
        judge();
        vm.assertEq(
            federation.update(16).rootDigest,
            _digestOf[16],
            "its slot is free, not reused"
        );
        _submit(8);
        _refusesWindow(1);
        _refusesUpdate(16);
        vm.assertEq(judged().id, 2);
    }

    function test_update_hasNoVerdictBeforeItsOwnTally() public {
        deployRunning(usual(), 4);
        fillWindow();
        scoreAll();
        tally();
        submitAs(trainers[4], 0, keccak256("of the next window"), RAW, 1);
        vm.assertTrue(federation.update(16).verdict != IFederation.Verdict.None);
        vm.assertTrue(federation.update(32).verdict == IFederation.Verdict.None);
    }

    function test_window_refusesWhatNeverWas() public {
        _refusesWindow(0);
        _refusesWindow(2);
        _refusesWindow(type(uint32).max);
        _refusesUpdate(0);
        _refusesUpdate(16);
        _refusesUpdate(type(uint256).max);
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Open));
    }

    function test_window_showsEachPhase() public {
        deployRunning(usual(), 4);
        IFederation.Window memory w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Open));
        fillWindow();
        uint40 sealedAt = uint40(time());
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Commit));
        commitAll();
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Reveal));
        vm.assertEq(federation.window(1).committed, 15);
        jump(5);
        revealAll();
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Tally));
        vm.assertEq(federation.window(1).revealed, 15);
        tally();
        w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Attest));
        vm.assertEq(w.active, 15);
        uint64 tag = w.tag;
        for (uint256 i = 0; i < 3; ++i) attestAs(validators[i], nextModel());
        w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Attest));
        vm.assertEq(w.tag, tag);
        vm.assertEq(w.attested, 7);
        vm.assertEq(w.sealedAt, sealedAt);
        settle();
        w = federation.window(1);
        vm.assertEq(uint8(w.phase), uint8(IFederation.Phase.Final));
        vm.assertEq(w.sealedAt, sealedAt);
    }

    // ----- CIDs and digests -----

    function testFuzz_cidOf_namesTheRoot(bytes32 digest, bool isDag) public {
        vm.assume(digest != 0);
        uint8 codec = isDag ? DAG_PB : RAW;
        submitAs(trainers[0], 0, digest, codec, 1);
        vm.assertEq(federation.cidOf(16), Cid.toString(digest, codec));
    }

    function test_cidOf_knowsAnUpdateOfTheOpenWindow() public {
        deployRunning(usual(), 4);
        submitAs(trainers[0], 0, keccak256("a"), DAG_PB, 1);
        submitAs(trainers[1], 0, keccak256("b"), RAW, 1);
        vm.assertEq(federation.cidOf(16), Cid.toString(keccak256("a"), DAG_PB));
        vm.assertEq(federation.cidOf(17), Cid.toString(keccak256("b"), RAW));
        _refusesUpdate(18);
    }

    function test_modelCid_namesVersions() public {
        vm.assertEq(federation.modelCid(0), Cid.toString(usualGenesis().model, DAG_PB));
        for (uint32 v = 1; v <= 10; ++v) {
            _submit(0);
            judge();
            bytes32 digest = keccak256(abi.encode("model", v));
            vm.assertEq(federation.modelDigest(v), digest);
            vm.assertEq(federation.modelCid(v), Cid.toString(digest, DAG_PB));
        }
        vm.assertEq(federation.modelDigest(0), usualGenesis().model);
        bytes memory refusal = abi.encodeWithSelector(IFederation.NoSuchVersion.selector, 11);
        refuses(address(this), abi.encodeCall(IFederation.modelCid, (11)), refusal);
        refuses(address(this), abi.encodeCall(IFederation.modelDigest, (11)), refusal);
    }

    function test_modelCid_knowsTheLast64VersionsAndTheGenesis() public {
        for (uint32 v = 1; v <= 66; ++v) {
            _submit(0);
            judge();
        }
        vm.assertEq(federation.modelDigest(0), usualGenesis().model);
        for (uint32 v = 3; v <= 66; ++v)
            vm.assertEq(federation.modelDigest(v), keccak256(abi.encode("model", v)));
        bytes memory refusal = abi.encodeWithSelector(IFederation.VersionForgotten.selector, 2);
        refuses(address(this), abi.encodeCall(IFederation.modelDigest, (2)), refusal);
        refuses(address(this), abi.encodeCall(IFederation.modelCid, (2)), refusal);
    }

    function test_manifestCid_namesARawBlock() public view {
        vm.assertEq(federation.manifestCid(), Cid.toString(usualGenesis().manifest, RAW));
    }

    // ----- Seats and people -----

    function test_seatOf_isZeroForFreeAndImpossibleSeats() public view {
        vm.assertEq(federation.seatOf(3), validators[3]);
        vm.assertEq(federation.seatOf(4), address(0));
        vm.assertEq(federation.seatOf(32), address(0));
        vm.assertEq(federation.seatOf(255), address(0));
        vm.assertEq(federation.weightOf(32), 0);
        vm.assertEq(federation.commitmentOf(255), 0);
    }

    function test_commitmentOf_forgetsWithTheWindow() public {
        _submit(0);
        revealAs(validators[1]);
        vm.assertEq(federation.commitmentOf(1), bytes32(scoresOf(validators[1], 1)));
        vm.assertEq(federation.commitmentOf(0), 0);
        passDeadline();
        federation.discard(1);
        vm.assertEq(federation.commitmentOf(1), 0);
        vm.assertEq(federation.weightOf(1), 0);
    }

    function test_participant_isNobodyForAStranger() public view {
        IFederation.Participant memory p;
        p.seat = 255;
        vm.assertEq(abi.encode(federation.participant(address(this))), abi.encode(p));
    }

    function test_head_countsWhatIsThere() public {
        fund(7);
        _submit(0);
        _submit(1);
        IFederation.Head memory h = federation.head();
        vm.assertEq(h.trainers, 10);
        vm.assertEq(h.seats, 15);
        vm.assertEq(h.openWindow, 3);
        vm.assertEq(h.judgingWindow, 1);
        vm.assertEq(h.stakes, 14 * uint256(STAKE));
        vm.assertEq(h.pool, 7);
        vm.assertEq(uint256(h.credits) + h.slashed, 0);
    }
}
