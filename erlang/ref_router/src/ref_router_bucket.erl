%% @doc Lock-free token bucket: the generic cell rate algorithm (ITU-T I.371) on one atomic word.
%%
%% The word is the *theoretical arrival time*: when the bucket would be full again. A token moves it
%% on by one interval; a token is refused if that would put it further than `burst' intervals ahead
%% of now. So in any span of t nanoseconds at most `burst + t / interval' tokens are given, however
%% many processes ask and whatever the order of their clock readings.
%%
%% Limit: the interval is a whole number of nanoseconds, rounded up; a rate of r per second is
%% therefore met to within a relative error of r / 10^9, never exceeded.
%% @private
-module(ref_router_bucket).

-export([new/3, take/2]).
-export_type([bucket/0]).

-define(FULL_AT, 1).
-define(NS_PER_SECOND, 1_000_000_000).

-record(bucket, {cells :: atomics:atomics_ref(),
                 interval_ns :: pos_integer(),
                 tolerance_ns :: pos_integer()}).
-opaque bucket() :: #bucket{}.

%% @doc A full bucket of `Burst' tokens, refilled with `RatePerSecond' tokens a second.
-spec new(RatePerSecond :: pos_integer(), Burst :: pos_integer(), NowNs :: integer()) -> bucket().
new(RatePerSecond, Burst, NowNs) ->
    IntervalNs = (?NS_PER_SECOND + RatePerSecond - 1) div RatePerSecond,
    Cells = atomics:new(1, [{signed, true}]),
    ok = atomics:put(Cells, ?FULL_AT, NowNs),
    #bucket{cells = Cells, interval_ns = IntervalNs, tolerance_ns = IntervalNs * Burst}.

%% @doc Takes one token at `NowNs' (monotonic); `false' if there is none.
-spec take(bucket(), NowNs :: integer()) -> boolean().
take(#bucket{cells = Cells} = Bucket, NowNs) ->
    take(Bucket, NowNs, atomics:get(Cells, ?FULL_AT)).

take(#bucket{cells = Cells, interval_ns = IntervalNs, tolerance_ns = ToleranceNs} = Bucket,
     NowNs, FullAtNs) ->
    NextNs = max(FullAtNs, NowNs) + IntervalNs,
    case NextNs - NowNs =< ToleranceNs of
        true ->
            case atomics:compare_exchange(Cells, ?FULL_AT, FullAtNs, NextNs) of
                ok -> true;
                ActualNs -> take(Bucket, NowNs, ActualNs)
            end;
        false ->
            false
    end.
