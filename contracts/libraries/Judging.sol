// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Scores} from "./Scores.sol";
import {Settling} from "./Settling.sol";
import {Tally} from "./Tally.sol";
import {Turns} from "./Turns.sol";
import {
    Agreement,
    Duty,
    Merit,
    Now,
    Result,
    Round,
    Rules,
    Tariff,
    Terms,
    Till,
    Words
} from "./Words.sol";

/// @title How windows are judged: turn, tally, settlement
/// @notice A part of `Federation.sol`, linked, since one contract may not have all the code: it works on the
/// federation's own state, and its events are the federation's. `IFederation.sol` specifies what it does.
library Judging {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;
    using Words for uint256;

    /// @notice Go to the next sealed window that can be judged, if there is one. Nothing is being judged.
    function beginTurns(Ledger.State storage s, Rules memory rules) external {
        Turns.begin(s, rules);
    }

    /// @notice The attestation phase is over.
    function settle(Ledger.State storage s, Rules memory rules) external {
        uint256 round = s.round;
        Settling.Settlement memory settlement;
        settlement.isTallied = true;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        settlement.attestersDue = Round.active(round);
        uint256 total = s.weigh(settlement.attestersDue);
        for (uint256 candidate = 0; candidate < round.get(Round.CANDIDATES); ++candidate) {
            uint256 voters = s.votersOf(round, candidate);
            if (2 * s.weigh(voters) > total)
                settlement.attestersWrong = round.get(Round.ATTESTED) & ~voters;
        }
        if (settlement.isFinal) {
            uint256 till = s.till;
            uint256 elapsed = Settling.sealedAt(s, round) - till.get(Till.LAST_FINAL_SEALED_AT);
            uint256 earned = rules.tariff.get(Tariff.REWARD_RATE) * elapsed;
            uint256 most = till.get(Till.POOL) / 100;
            if (earned > most) earned = most;
            settlement.trainersPot = earned * Settling.TRAINERS_PERCENT;
            settlement.validatorsPot = earned * Settling.VALIDATORS_PERCENT;
            settlement.totalWeight = total;
        } else {
            emit IFederation.WindowVoided(round.get(Round.WINDOW), IFederation.VoidReason.NoQuorum);
        }
        Settling.settle(s, rules, round, settlement);
    }

    /// @notice The window being judged cannot go on.
    function discard(
        Ledger.State storage s,
        Rules memory rules,
        IFederation.VoidReason reason
    ) external {
        uint256 round = s.round;
        Settling.Settlement memory settlement;
        settlement.isFinal = round.get(Round.STAGE) == Round.FINAL;
        if (!settlement.isFinal) emit IFederation.WindowVoided(round.get(Round.WINDOW), reason);
        Settling.settle(s, rules, round, settlement);
    }

    // ---------------------------------------------------------------------------------------------------- tally

    /// @notice The tally phase has come.
    function tally(
        Ledger.State storage s,
        Rules memory rules,
        address[] calldata authors
    ) external {
        uint256 round = s.round;
        Tally.Input memory input;
        uint256 revealed = Round.revealed(round);
        input.activeWeight = s.weigh(Round.active(round));
        uint256 weight = input.activeWeight;
        if (revealed != Round.active(round)) weight = s.weigh(revealed);
        if (3 * weight < 2 * input.activeWeight)
            revert IFederation.TooFewReveals(weight, input.activeWeight);
        if (authors.length != round.get(Round.UPDATES)) {
            revert IFederation.InvalidAuthors(authors.length, address(0));
        }

        input.rejectBelow = -int256(rules.terms.get(Terms.FLOOR));
        input.trustSamples = rules.terms.get(Terms.TRUST_SAMPLES) != 0;
        _readReveals(s, input, revealed);
        uint256[] memory ids = _readAuthors(s, input, round, authors);
        Tally.Output memory output = Tally.compute(input);

        uint256 window = round.get(Round.WINDOW);
        (bytes32 consensus, bytes16 verdicts, bool isBarren) = _storeResults(
            s,
            window,
            output,
            ids
        );
        _storeAgreements(s, output, revealed);
        emit IFederation.WindowTallied(
            window,
            uint8(output.keep),
            consensus,
            verdicts,
            output.shares,
            output.agreement,
            uint32(output.overruled)
        );
        round = round.set(Round.STAGE, Round.ATTEST);
        round = round.set(Round.DEADLINE, block.timestamp + rules.terms.get(Terms.ATTEST_PERIOD));
        s.round = round;
        if (!isBarren) return;
        Settling.Settlement memory settlement;
        settlement.isTallied = true;
        emit IFederation.WindowVoided(window, IFederation.VoidReason.Barren);
        Settling.settle(s, rules, round, settlement);
    }

    function _readReveals(
        Ledger.State storage s,
        Tally.Input memory input,
        uint256 revealed
    ) private view {
        uint256 m = LibBit.popCount(revealed);
        input.scores = DynamicArrayLib.malloc(m);
        input.weights = DynamicArrayLib.malloc(m);
        input.keeps = DynamicArrayLib.malloc(m);
        input.seats = DynamicArrayLib.malloc(m);
        unchecked {
            // Safe: v counts the m seats that revealed.
            uint256 v;
            for (uint256 seat = 0; revealed >> seat != 0; ++seat) {
                if (!Ledger.isIn(revealed, seat)) continue;
                (bytes32 row, uint256 keep) = Scores.unpack(s.commitments[seat]);
                input.scores.set(v, uint256(row));
                input.keeps.set(v, keep);
                input.weights.set(v, s.weightOf(seat));
                input.seats.set(v++, seat);
            }
        }
    }

    function _readAuthors(
        Ledger.State storage s,
        Tally.Input memory input,
        uint256 round,
        address[] calldata authors
    ) private view returns (uint256[] memory ids) {
        uint256 n = authors.length;
        uint256 window = round.get(Round.WINDOW);
        uint256 version = s.now_.get(Now.VERSION);
        uint256 active = Round.active(round);
        ids = DynamicArrayLib.malloc(n);
        input.authorSeat = DynamicArrayLib.malloc(n);
        input.authorWeight = DynamicArrayLib.malloc(n);
        input.reputations = DynamicArrayLib.malloc(n);
        input.samples = DynamicArrayLib.malloc(n);
        input.staleness = DynamicArrayLib.malloc(n);
        unchecked {
            // Safe: i < n, the length of all arrays; a base is at most the version of its submission, which has not
            // fallen since; the older update counts back from the newer one.
            for (uint256 i = 0; i < n; ++i) {
                uint256 duty = s.duties[authors[i]];
                (uint256 index, uint256 samples) = (duty.get(Duty.INDEX), duty.get(Duty.SAMPLES));
                (uint256 last, uint256 base) = (duty.get(Duty.WINDOW), duty.get(Duty.BASE));
                if (last != window && duty.get(Duty.OLDER_BACK) != 0) {
                    last -= duty.get(Duty.OLDER_BACK);
                    base -= duty.get(Duty.OLDER_BASE_BACK);
                    (index, samples) = (duty.get(Duty.OLDER_INDEX), duty.get(Duty.OLDER_SAMPLES));
                }
                if (last != window || index != i) revert IFederation.InvalidAuthors(i, authors[i]);
                uint256 id = duty.get(Duty.ID);
                ids.set(i, id);
                input.samples.set(i, samples);
                input.staleness.set(i, version - base);
                input.reputations.set(i, s.meritOf(id).get(Merit.REPUTATION));
                uint256 seat = duty.get(Duty.SEAT);
                bool isActive = seat != 0 && Ledger.isIn(active, seat - 1);
                input.authorSeat.set(i, isActive ? seat - 1 : 255);
                input.authorWeight.set(i, isActive ? s.weightOf(seat - 1) : 0);
            }
        }
    }

    function _storeResults(
        Ledger.State storage s,
        uint256 window,
        Tally.Output memory output,
        uint256[] memory ids
    ) private returns (bytes32, bytes16, bool isBarren) {
        uint256 n = ids.length;
        uint256 word;
        uint256 consensus;
        uint256 verdicts;
        isBarren = true;
        unchecked {
            // Safe: i < n, the length of all arrays.
            for (uint256 i = 0; i < n; ++i) {
                uint256 verdict = output.verdicts.get(i);
                if (verdict >= Tally.ACCEPTED) isBarren = false;
                verdicts |= verdict << (120 - 8 * i);
                consensus |= uint256(uint16(int16(output.consensus[i]))) << (240 - 16 * i);
                uint256 result =
                    ids.get(i) |
                        (output.shares.get(i) << 24) |
                        (verdict << 48) |
                        (output.keep << 56);
                word |= result << (64 * (i % 4));
                if (i % 4 != 3 && i + 1 != n) continue;
                s.results[Ledger.placeOf(window, i) / 4] = word;
                word = 0;
            }
        }
        return (bytes32(consensus), bytes16(uint128(verdicts)), isBarren);
    }

    function _storeAgreements(
        Ledger.State storage s,
        Tally.Output memory output,
        uint256 revealed
    ) private {
        uint256[4] memory words;
        uint256 v;
        for (uint256 seat = 0; revealed >> seat != 0; ++seat) {
            if (!Ledger.isIn(revealed, seat)) continue;
            int256 agreement = output.agreement[v];
            uint256 stored =
                agreement == Tally.NO_AGREEMENT
                    ? Agreement.NONE
                    : uint256(agreement + Agreement.BIAS);
            if (agreement == Tally.NO_AGREEMENT) output.agreement[v] = type(int32).min; // for the event
            if (Ledger.isIn(output.overruled, seat)) stored = Agreement.OVERRULED;
            words[seat / 8] |= stored << (32 * (seat % 8));
            ++v;
        }
        for (uint256 k = 0; k < 4; ++k) if (words[k] != 0) s.agreements[k] = words[k];
    }
}
