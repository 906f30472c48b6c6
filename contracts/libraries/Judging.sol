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
        address[] calldata authors,
        address[] calldata validators
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
        _readReveals(s, input, revealed, validators);
        uint256[] memory ids = _readAuthors(s, input, round, authors);
        Tally.Output memory output = Tally.compute(input);

        uint256 window = round.get(Round.WINDOW);
        (uint256 consensus, uint256 verdicts, bool isBarren) = _storeResults(
            s,
            window,
            output,
            ids
        );
        _storeAgreements(s, output, revealed);
        emit IFederation.WindowTallied(
            window,
            uint8(output.keep),
            bytes32(consensus),
            bytes16(uint128(verdicts)),
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
        uint256 revealed,
        address[] calldata validators
    ) private view {
        uint256 m = validators.length;
        if (m != LibBit.popCount(revealed)) revert IFederation.InvalidValidators(m, address(0));
        input.scores = DynamicArrayLib.malloc(m);
        input.weights = DynamicArrayLib.malloc(m);
        input.keeps = DynamicArrayLib.malloc(m);
        input.seats = DynamicArrayLib.malloc(m);
        unchecked {
            // Safe: v < m, the length of all arrays; a ballot's seat is one more than the seat, below 64. As many
            // ascending seats as have revealed, each of which has, are all that have.
            uint256 next;
            for (uint256 v = 0; v < m; ++v) {
                bytes32 ballot = s.ballots[validators[v]];
                uint256 seat = Scores.seatOf(ballot);
                if (seat <= next || !Ledger.isIn(revealed, seat - 1))
                    revert IFederation.InvalidValidators(v, validators[v]);
                next = seat--;
                (bytes32 row, uint256 keep) = Scores.unpack(ballot);
                input.scores.set(v, uint256(row));
                input.keeps.set(v, keep);
                input.weights.set(v, s.weightOf(seat));
                input.seats.set(v, seat);
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
        ids = DynamicArrayLib.malloc(n);
        input.authorSeat = DynamicArrayLib.malloc(n);
        input.authorWeight = DynamicArrayLib.malloc(n);
        input.reputations = DynamicArrayLib.malloc(n);
        input.samples = DynamicArrayLib.malloc(n);
        input.staleness = DynamicArrayLib.malloc(n);
        uint256 version = s.now_.get(Now.VERSION);
        unchecked {
            // Safe: i < n, the length of all arrays; a base is at most the version of its submission, which has not
            // fallen since.
            for (uint256 i = 0; i < n; ++i) {
                uint256 duty = _asOf(s.duties[authors[i]], round.get(Round.WINDOW));
                bool isHere = duty.get(Duty.WINDOW) == round.get(Round.WINDOW);
                if (!isHere || duty.get(Duty.INDEX) != i)
                    revert IFederation.InvalidAuthors(i, authors[i]);
                uint256 id = duty.get(Duty.ID);
                ids.set(i, id);
                input.samples.set(i, duty.get(Duty.SAMPLES));
                input.staleness.set(i, version - duty.get(Duty.BASE));
                input.reputations.set(i, s.meritOf(id).get(Merit.REPUTATION));
                uint256 seat = duty.get(Duty.SEAT);
                (uint256 place, uint256 weight) = (255, 0);
                if (seat != 0 && Ledger.isIn(Round.active(round), seat - 1))
                    (place, weight) = (seat - 1, s.weightOf(seat - 1));
                input.authorSeat.set(i, place);
                input.authorWeight.set(i, weight);
            }
        }
    }

    /// @dev An author's duty with its older update in the newer one's place, where that is of another window.
    function _asOf(uint256 duty, uint256 window) private pure returns (uint256) {
        if (duty.get(Duty.WINDOW) == window || duty.get(Duty.OLDER_BACK) == 0) return duty;
        unchecked {
            // Safe: the older update counts back from the newer one.
            duty = duty.set(Duty.BASE, duty.get(Duty.BASE) - duty.get(Duty.OLDER_BASE_BACK));
            duty = duty.set(Duty.WINDOW, duty.get(Duty.WINDOW) - duty.get(Duty.OLDER_BACK));
        }
        duty = duty.set(Duty.SAMPLES, duty.get(Duty.OLDER_SAMPLES));
        return duty.set(Duty.INDEX, duty.get(Duty.OLDER_INDEX));
    }

    /// @return consensus A row of scores.
    /// @return verdicts A byte an update.
    /// @return isBarren Whether nothing was accepted.
    function _storeResults(
        Ledger.State storage s,
        uint256 window,
        Tally.Output memory output,
        uint256[] memory ids
    ) private returns (uint256 consensus, uint256 verdicts, bool isBarren) {
        (int256[] memory scores, uint256[] memory shares) = (output.consensus, output.shares);
        uint256[] memory given = output.verdicts;
        uint256 place = Ledger.placeOf(window, 0) / 4;
        uint256 keep = Words.put(Result.KEEP, output.keep);
        uint256 n = ids.length;
        isBarren = true;
        unchecked {
            // Safe: i < n, the length of all arrays, and 4 k <= i < 4 k + 4.
            for (uint256 k = 0; 4 * k < n; ++k) {
                uint256 word;
                for (uint256 i = 4 * k; i < 4 * k + 4 && i < n; ++i) {
                    uint256 verdict = given.get(i);
                    if (verdict >= Tally.ACCEPTED) isBarren = false;
                    verdicts |= verdict << (120 - 8 * i);
                    consensus |= uint256(uint16(uint256(scores[i]))) << (240 - 16 * i);
                    uint256 result = ids.get(i) | Words.put(Result.SHARE, shares.get(i)) | keep;
                    word |= (result | Words.put(Result.VERDICT, verdict)) << (64 * (i - 4 * k));
                }
                s.results[place + k] = word;
            }
        }
    }

    function _storeAgreements(
        Ledger.State storage s,
        Tally.Output memory output,
        uint256 revealed
    ) private {
        int256[] memory agreements = output.agreement;
        uint256 v;
        uint256 word;
        unchecked {
            // Safe: v counts the seats that revealed, as many as there are agreements, each at least -1e6.
            for (uint256 seat = 0; revealed >> seat != 0; ++seat) {
                if (Ledger.isIn(revealed, seat)) {
                    int256 agreement = agreements[v];
                    uint256 stored = uint256(agreement + Agreement.BIAS);
                    if (agreement == Tally.NO_AGREEMENT) {
                        stored = Agreement.NONE;
                        agreements[v] = type(int32).min; // for the event
                    }
                    if (Ledger.isIn(output.overruled, seat)) stored = Agreement.OVERRULED;
                    word |= stored << (32 * (seat % 8));
                    ++v;
                }
                if (seat % 8 != 7 && revealed >> (seat + 1) != 0) continue;
                if (word != 0) s.agreements[seat / 8] = word;
                word = 0;
            }
        }
    }
}
