// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {DynamicArrayLib} from "solady/src/utils/DynamicArrayLib.sol";
import {LibBit} from "solady/src/utils/LibBit.sol";

import {IFederation} from "../IFederation.sol";
import {Ledger} from "./Ledger.sol";
import {Seats} from "./Seats.sol";
import {
    Header,
    Membership,
    Now,
    Round,
    Rules,
    Seat,
    Service,
    Tariff,
    Terms,
    Words
} from "./Words.sol";

/// @title Whose turn it is: the window to be judged, its active set and their weights
library Turns {
    using DynamicArrayLib for uint256[];
    using Ledger for Ledger.State;
    using Words for uint256;

    /// @notice Go to the next sealed window that can be judged, if there is one. Nothing is being judged.
    function begin(Ledger.State storage s, Rules memory rules) internal {
        uint256 now_ = s.now_;
        uint256 window = now_.get(Now.JUDGING);
        uint256 open = now_.get(Now.OPEN);
        uint256 round;
        if (window < open) {
            Seats.clear(s);
            (uint256 active, uint256 fewest, uint256[] memory weights) = _takeWeights(s, rules);
            for (; window < open; ++window) {
                uint256 header = s.headers[window % Ledger.RING];
                if (header.get(Header.VOID) == 0) {
                    if (weights.length >= rules.terms.get(Terms.MIN_VALIDATORS)) {
                        uint256 version = now_.get(Now.VERSION);
                        bytes32 model = s.models[version % Ledger.MODELS];
                        round = _newRound(rules, header, window, model);
                        round |= Words.put(Round.OWING, active) | Words.put(Round.FEWEST, fewest);
                        uint64 tag = uint64(round.get(Round.TAG));
                        emit IFederation.TurnBegan(window, version, tag, uint32(active), weights);
                        break;
                    }
                    emit IFederation.WindowVoided(window, IFederation.VoidReason.TooFewValidators);
                }
                now_ = end(now_, window, Ledger.UNTALLIED);
            }
        }
        // An idle round keeps its last window, for a slot that is never zero costs less to write again.
        if (round == 0) round = window - 1;
        s.round = round;
        s.now_ = now_.set(Now.JUDGING, window);
    }

    function _newRound(
        Rules memory rules,
        uint256 header,
        uint256 window,
        bytes32 model
    ) private view returns (uint256) {
        uint256 hash = header.get(Header.HASH);
        bytes32 tag = keccak256(abi.encode(block.chainid, address(this), window, hash, model));
        uint256 period = rules.terms.get(Terms.COMMIT_PERIOD);
        uint256 stage = Round.COMMIT;
        if (period == 0) (period, stage) = (rules.terms.get(Terms.REVEAL_PERIOD), Round.REVEAL);
        return
            Words.put(Round.WINDOW, window) |
            Words.put(Round.TAG, uint64(uint256(tag))) |
            Words.put(Round.UPDATES, header.get(Header.UPDATES)) |
            Words.put(Round.STAGE, stage) |
            Words.put(Round.DEADLINE, block.timestamp + period);
    }

    /// @notice A window has ended: its outcome is noted.
    function end(uint256 now_, uint256 window, uint256 outcome) internal pure returns (uint256) {
        uint256 outcomes = now_.get(Now.OUTCOMES).withLane(window % Ledger.RING, 2, outcome);
        return now_.set(Now.OUTCOMES, outcomes);
    }

    /// @dev The active set: who is awake, and where these are too few also who sleeps, since who stays away must not stop
    /// all others. Weights are shifted so that the largest fits its lane of 32 bits.
    /// @return active Its seats.
    /// @return fewest How many of them it takes at least to hold two thirds of the weight.
    /// @return weights In the order of seats.
    function _takeWeights(
        Ledger.State storage s,
        Rules memory rules
    ) private returns (uint256 active, uint256 fewest, uint256[] memory weights) {
        uint256 seats = s.membership.get(Membership.SEATS);
        uint256 largest;
        uint256 count;
        uint256 mostMissed = Service.ASLEEP - 1;
        weights = DynamicArrayLib.malloc(LibBit.popCount(seats));
        unchecked {
            // Safe: count is at most how many seats there are; a stake of 96 bits times 2e6 is below 2^117.
            do {
                (active, largest, count) = (0, 0, 0);
                uint256 pair; // of seats, the one looked at at the bottom
                for (uint256 seat = 0; seats >> seat != 0; ++seat) {
                    pair = seat % 2 == 0 ? s.seats[seat / 2] : pair >> 128;
                    if (!Ledger.isIn(seats, seat)) continue;
                    uint256 service = s.serviceOf(pair.get(Seat.ID));
                    if (service.get(Service.MISSED) > mostMissed) continue;
                    if (!Seats.canJudge(s, pair, rules.tariff.get(Tariff.MIN_STAKE))) continue;
                    active |= 1 << seat;
                    uint256 weight =
                        pair.get(Seat.STAKE) * (Ledger.PPM + service.get(Service.REPUTATION));
                    if (weight > largest) largest = weight;
                    weights.set(count++, weight);
                }
            } while (
                count < rules.terms.get(Terms.MIN_VALIDATORS) && mostMissed++ < Service.ASLEEP
            );
        }
        weights.truncate(count);
        if (count != 0) fewest = _storeWeights(s, active, weights, largest);
    }

    /// @dev Shifts them and packs them into lanes, the last first.
    function _storeWeights(
        Ledger.State storage s,
        uint256 active,
        uint256[] memory weights,
        uint256 largest
    ) private returns (uint256) {
        unchecked {
            // Safe: at least 32 bits of weight before the shift; 32 at most after it, and 32 weights.
            uint256 shift = largest >> 32 == 0 ? 0 : LibBit.fls(largest) - 31;
            uint256 total;
            uint256 count = weights.length;
            uint256 word;
            for (uint256 seat = LibBit.fls(active) + 1; seat != 0;) {
                --seat;
                word <<= 32; // those of another word go out
                if (Ledger.isIn(active, seat)) {
                    uint256 weight = weights.get(--count) >> shift;
                    if (weight == 0) weight = 1;
                    weights.set(count, weight);
                    total += weight;
                    word |= weight;
                }
                if (seat % 8 == 0 && word != 0) s.weights[seat / 8] = word;
            }
            largest >>= shift; // at least one, as the largest is not shifted out
            return (2 * total + 3 * largest - 1) / (3 * largest);
        }
    }
}
