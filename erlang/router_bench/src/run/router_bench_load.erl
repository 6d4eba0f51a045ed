%% @doc Builds under load for a profiler that looks at their BEAMs from outside, with the names of the
%% functions that the JIT compiled. Nothing is measured here, and nothing that is measured has these flags.
%% @private
-module(router_bench_load).

-export([run/2]).

%% The names, and frame pointers by which stacks are walked.
-define(FOR_PERF, ["+JPperf", "map"]).

%% @doc Boots the plan's builds, warms them up, and puts each under the closed loop for the plan's
%% `throughput_ms'; whoever is asked before and after decides whether it goes on.
-spec run(router_bench_plan:plan(), router_bench_block:ask()) ->
          {ok, #{frozen | candidate => Requests :: pos_integer()}} | {error, Reason :: term()}.
run(#{erl_args := Flags, timeout_ms := TimeoutMs} = Plan, Ask) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
    case settled(Plan, DeadlineMs) of
        {ok, Settled} ->
            Tell = fun(Activity) -> router_bench_progress:tell({step, #{activity => Activity}}, Plan) end,
            case router_bench_block:load(sides(Settled#{erl_args := Flags ++ ?FOR_PERF}), DeadlineMs, Tell,
                                         Ask) of
                {ok, Requests} -> some(Requests);
                {error, Role, Reason} -> {error, {load, Role, Reason}}
            end;
        {error, Reason} ->
            {error, {calibration, Reason}}
    end.

%% A share of nothing is none.
some(Requests) ->
    case [Role || {Role, 0} <- maps:to_list(Requests)] of
        [] -> {ok, Requests};
        [Role | _] -> {error, {load, Role, no_request_succeeded}}
    end.

%% As in a run, the frozen build chooses what is left open.
settled(#{rate_per_second := Rate, concurrency := Workers} = Plan, DeadlineMs)
  when Rate =:= calibrate; Workers =:= calibrate ->
    ok = router_bench_progress:tell({step, #{activity => calibration}}, Plan),
    [#{plan := First, code := Code} | _] = sides(Plan),
    case router_bench_calibration:find(First, Code, DeadlineMs) of
        {ok, Found} ->
            Open = [Key || Key <- [rate_per_second, concurrency], maps:get(Key, Plan) =:= calibrate],
            settled(maps:merge(Plan, maps:with(Open, Found)), DeadlineMs);
        {error, Reason} ->
            {error, Reason}
    end;
settled(Plan, _DeadlineMs) ->
    {ok, router_bench_calibration:settled(Plan)}.

sides(#{replay := Replay} = Plan) ->
    [#{role => frozen, plan => Plan#{fault := none}, code => Build} || #{build := Build} <- [Replay]]
        ++ [#{role => candidate, plan => Plan, code => own}].
