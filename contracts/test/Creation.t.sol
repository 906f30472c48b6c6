// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.37;

import {IFederation} from "../IFederation.sol";
import {Setup} from "./Setup.sol";

contract CreationTest is Setup {
    string private constant ARTIFACT = "Federation.sol:Federation";
    uint256 private constant MAINNET = 1;
    uint256 private constant DEVNET = 31_337;

    function setUp() public {
        (owner, ownerKey) = actor("owner");
        vm.warp(1_700_000_000);
        vm.chainId(MAINNET);
    }

    // ----- Hands -----

    function make(IFederation.Parameters memory p) external returns (IFederation) {
        return IFederation(create(ARTIFACT, abi.encode(owner, lens, usualGenesis(), p)));
    }

    function makeWith(
        address owner_,
        address lens_,
        IFederation.Genesis memory genesis
    ) external returns (address) {
        return create(ARTIFACT, abi.encode(owner_, lens_, genesis, usual()));
    }

    /// @dev The longest that a window can live in the ring.
    function _longestLife(IFederation.Parameters memory p) private pure returns (uint256) {
        uint256 judging = uint256(p.commitPeriod) + p.revealPeriod + 3 * uint256(p.attestPeriod);
        return 2 * uint256(p.maxWait) + 8 * judging;
    }

    function _refuses(
        IFederation.Parameters memory p,
        string memory parameter,
        int256 given,
        int256 least,
        int256 most
    ) private {
        bytes4 refusal = IFederation.ParameterOutOfRange.selector;
        vm.expectRevert(abi.encodeWithSelector(refusal, parameter, given, least, most));
        this.make(p);
    }

    // ----- What it is then -----

    function test_constructor_startsAtTheGenesisModel() public {
        address predicted = computed(address(this), vm.getNonce(address(this)));
        vm.expectEmit(predicted);
        emit IFederation.FederationCreated(
            owner,
            usualGenesis().manifest,
            usualGenesis().model,
            usual()
        );
        deploy(usual());
        vm.assertEq(address(federation), predicted);
        vm.assertEq(federation.owner(), owner);
        vm.assertEq(federation.lens(), lens);
        vm.assertEq(abi.encode(federation.parameters()), abi.encode(usual()));
        vm.assertEq(abi.encode(federation.genesis()), abi.encode(usualGenesis()));
        vm.assertEq(federation.invitationEpoch(), 0);
        vm.assertEq(federation.modelDigest(0), usualGenesis().model);

        IFederation.Head memory h;
        h.openWindow = 1;
        h.judgingWindow = 1;
        h.effectiveSize = 3;
        h.lastFinalSealedAt = uint40(time());
        vm.assertEq(abi.encode(federation.head()), abi.encode(h));
        vm.assertEq(uint8(federation.window(1).phase), uint8(IFederation.Phase.Open));
    }

    /// @dev The address of a contract made with `create`, for nonces from 1 to 127.
    function computed(address from, uint64 nonce) private pure returns (address) {
        bytes memory rlp = abi.encodePacked(hex"d694", from, uint8(nonce));
        return address(uint160(uint256(keccak256(rlp))));
    }

    function testFuzz_constructor_takesWhatIsInRange(uint256[16] memory x) public {
        IFederation.Parameters memory p = usual();
        p.windowSize = uint8(bound(x[0], 3, 16));
        p.minUpdates = uint8(bound(x[1], 3, p.windowSize));
        p.maxWait = uint32(bound(x[2], 1, 10 days));
        p.commitPeriod = uint32(bound(x[3], 0, 7 days));
        p.revealPeriod = uint32(bound(x[4], 1, 7 days));
        p.attestPeriod = uint32(bound(x[5], 1, 7 days));
        p.maxStaleness = uint16(bound(x[6], 1, 1000));
        p.minValidators = uint8(bound(x[7], 4, 32));
        p.rejectBelow = -int16(int256(bound(x[8], 0, 4990)));
        p.slashPpm = uint32(bound(x[9], 0, 20_000));
        p.jailPeriod = uint32(bound(x[10], 1, 365 days));
        p.unbondingPeriod = uint32(bound(x[11], _longestLife(p), 365 days));
        p.minStake = uint96(bound(x[12], 1e6, 2 ** 88));
        p.rewardRate = uint96(bound(x[13], 0, 2 ** 88));
        p.trustSamples = x[14] % 2 == 1;
        p.open = x[15] % 2 == 1;
        vm.assertEq(abi.encode(this.make(p).parameters()), abi.encode(p));
    }

    // ----- Ranges: one below, one above -----

    function test_constructor_refusesSizesOutOfRange() public {
        IFederation.Parameters memory p = usual();
        p.windowSize = 17;
        _refuses(p, "windowSize", 17, 1, 16);
        p.windowSize = 0;
        _refuses(p, "windowSize", 0, 1, 16);
        p.windowSize = 4;
        p.minUpdates = 2;
        _refuses(p, "minUpdates", 2, 3, 4);
        p.minUpdates = 5;
        _refuses(p, "minUpdates", 5, 3, 4);
        p = usual();
        p.minValidators = 3;
        _refuses(p, "minValidators", 3, 4, 32);
        p.minValidators = 33;
        _refuses(p, "minValidators", 33, 4, 32);
    }

    function test_constructor_allowsSmallerSizesOnADevelopmentChain() public {
        uint256[2] memory chains = [DEVNET, 1337];
        for (uint256 i = 0; i < 2; ++i) {
            vm.chainId(chains[i]);
            IFederation.Parameters memory p = usual();
            p.minUpdates = 0;
            _refuses(p, "minUpdates", 0, 1, 4);
            p.minUpdates = 1;
            p.minValidators = 0;
            _refuses(p, "minValidators", 0, 1, 32);
            p.minValidators = 1;
            this.make(p);
        }
    }

    function test_constructor_refusesPeriodsOutOfRange() public {
        IFederation.Parameters memory p = usual();
        p.maxWait = 0;
        _refuses(p, "maxWait", 0, 1, 30 days);
        p.maxWait = 30 days + 1;
        _refuses(p, "maxWait", 30 days + 1, 1, 30 days);
        p = usual();
        p.commitPeriod = 7 days + 1;
        _refuses(p, "commitPeriod", 7 days + 1, 0, 7 days);
        p = usual();
        p.revealPeriod = 0;
        _refuses(p, "revealPeriod", 0, 1, 7 days);
        p.revealPeriod = 7 days + 1;
        _refuses(p, "revealPeriod", 7 days + 1, 1, 7 days);
        p = usual();
        p.attestPeriod = 0;
        _refuses(p, "attestPeriod", 0, 1, 7 days);
        p.attestPeriod = 7 days + 1;
        _refuses(p, "attestPeriod", 7 days + 1, 1, 7 days);
        p = usual();
        p.jailPeriod = 0;
        _refuses(p, "jailPeriod", 0, 1, 365 days);
        p.jailPeriod = 365 days + 1;
        _refuses(p, "jailPeriod", 365 days + 1, 1, 365 days);
    }

    function testFuzz_constructor_unbondsLongerThanAWindowCanLive(uint32 unbonding) public {
        IFederation.Parameters memory p = usual();
        int256 least = int256(_longestLife(p));
        vm.assertEq(least, 2 * 3600 + 8 * (900 + 900 + 3 * 1800));
        p.unbondingPeriod = uint32(uint256(least));
        this.make(p);
        vm.assume(unbonding < uint256(least) || unbonding > 365 days);
        p.unbondingPeriod = unbonding;
        _refuses(p, "unbondingPeriod", int256(uint256(unbonding)), least, 365 days);
    }

    function test_constructor_takesAFloorAtEitherEnd() public {
        IFederation.Parameters memory p = usual();
        for (uint256 i = 0; i < 2; ++i) {
            p.rejectBelow = i == 0 ? int16(-4990) : int16(0);
            this.make(p);
        }
    }

    function test_constructor_refusesNumbersOutOfRange() public {
        IFederation.Parameters memory p = usual();
        p.maxStaleness = 0;
        _refuses(p, "maxStaleness", 0, 1, 1000);
        p.maxStaleness = 1001;
        _refuses(p, "maxStaleness", 1001, 1, 1000);
        p = usual();
        p.rejectBelow = 1;
        _refuses(p, "rejectBelow", 1, -4990, 0);
        p.rejectBelow = -4991;
        _refuses(p, "rejectBelow", -4991, -4990, 0);
        p = usual();
        p.slashPpm = 20_001;
        _refuses(p, "slashPpm", 20_001, 0, 20_000);
        p = usual();
        p.minStake = 1e6 - 1;
        _refuses(p, "minStake", 1e6 - 1, 1e6, 2 ** 88);
        p.minStake = 2 ** 88 + 1;
        _refuses(p, "minStake", 2 ** 88 + 1, 1e6, 2 ** 88);
        p = usual();
        p.rewardRate = 2 ** 88 + 1;
        _refuses(p, "rewardRate", 2 ** 88 + 1, 0, 2 ** 88);
    }

    // ----- Addresses and roots -----

    function test_constructor_refusesZeroAddresses() public {
        bytes4 refusal = IFederation.ZeroAddress.selector;
        vm.expectRevert(abi.encodeWithSelector(refusal, "owner"));
        this.makeWith(address(0), lens, usualGenesis());
        vm.expectRevert(abi.encodeWithSelector(refusal, "lens"));
        this.makeWith(owner, address(0), usualGenesis());
        IFederation.Parameters memory p = usual();
        p.treasury = address(0);
        vm.expectRevert(abi.encodeWithSelector(refusal, "treasury"));
        this.make(p);
        p = usual();
        p.slashSink = address(0);
        vm.expectRevert(abi.encodeWithSelector(refusal, "slashSink"));
        this.make(p);
    }

    function test_constructor_refusesACurrencyWithoutCode() public {
        IFederation.Parameters memory p = usual();
        p.currency = address(0xC01);
        bytes4 refusal = IFederation.NoSuchCurrency.selector;
        vm.expectRevert(abi.encodeWithSelector(refusal, address(0xC01)));
        this.make(p);
        vm.etch(address(0xC01), hex"00");
        vm.assertEq(this.make(p).parameters().currency, address(0xC01));
    }

    function testFuzz_constructor_refusesOtherCodecs(uint8 codec) public {
        vm.assume(codec != RAW && codec != DAG_PB);
        IFederation.Genesis memory genesis = usualGenesis();
        genesis.modelCodec = codec;
        bytes4 refusal = IFederation.InvalidRoot.selector;
        vm.expectRevert(abi.encodeWithSelector(refusal, genesis.model, codec));
        this.makeWith(owner, lens, genesis);
    }

    function test_constructor_refusesEmptyRoots() public {
        IFederation.Genesis memory genesis = usualGenesis();
        bytes4 refusal = IFederation.InvalidRoot.selector;
        genesis.model = 0;
        vm.expectRevert(abi.encodeWithSelector(refusal, bytes32(0), DAG_PB));
        this.makeWith(owner, lens, genesis);
        genesis = usualGenesis();
        genesis.manifest = 0;
        vm.expectRevert(abi.encodeWithSelector(refusal, bytes32(0), RAW));
        this.makeWith(owner, lens, genesis);
    }
}
