%% @doc Chooses the open loop's arrival rate, where the plan leaves it open: well below what the
%% router can do, and what the generator can pace.
%%
%% The rate is a tenth of the throughput of one closed loop, rounded down to two digits, so that a
%% router that is twice as slow is not yet saturated, and at most 10,000 a second, up to which the
%% pacing thread has been shown to be on time. It is chosen once, for the baseline; whatever is
%% compared with it is measured at its rate.
-module(router_bench_calibration).

-export([run/1, rate/1]).

-define(SHARE, 10).
-define(HIGHEST, 10000).
%% For warming up only.
-define(WARMUP_RATE, 100).

%% @doc Measures the closed loop in this VM.
-spec run(router_bench_plan:plan()) ->
          {ok, #{rps := float(), rate_per_second := pos_integer()}} | {error, term()}.
run(#{adapter := Adapter, throughput_ms := ThroughputMs} = Plan) ->
    Sound = Plan#{fault := none, rate_per_second := ?WARMUP_RATE},
    router_bench_router:with(Sound, fun(State) ->
        Context = #{plan => Sound, adapter => Adapter, state => State},
        case router_bench_warmup:run(Context) of
            {ok, _} -> measured(router_bench_closed_loop:run(Context, ThroughputMs));
            {error, Reason} -> {error, Reason}
        end
    end).

measured({ok, #{accounting := #{ok := 0}}}) ->
    {error, no_request_succeeded};
measured({ok, #{accounting := #{ok := Ok}, duration_ns := DurationNs}}) ->
    Rps = Ok * 1.0e9 / DurationNs,
    {ok, #{rps => Rps, rate_per_second => rate(Rps)}};
measured({error, Reason}) ->
    {error, Reason}.

%% @doc The arrival rate for a throughput.
-spec rate(Rps :: float()) -> pos_integer().
rate(Rps) ->
    Rate = min(?HIGHEST, trunc(Rps / ?SHARE)),
    max(1, two_digits(Rate, 1)).

two_digits(Rate, Unit) when Rate >= 100 -> two_digits(Rate div 10, Unit * 10);
two_digits(Rate, Unit) -> Rate * Unit.
