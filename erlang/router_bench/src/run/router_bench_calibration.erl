%% @doc Chooses what of the load a plan leaves open: how many workers the closed loop has, how many
%% arrivals a second the open loop has, and how long it lasts.
%%
%% Workers are doubled until throughput grows no more; the fewest that reach nearly all of it are
%% taken. The rate is a tenth of that throughput, rounded down to two digits, so that a router that is
%% twice as slow is not yet saturated, and at most 20,000 a second. Both are chosen once, for the
%% baseline; whatever is compared with it is measured under its load. The open loop lasts long enough
%% for the samples that a p99 takes.
%%
%% Where drivers have the load they look for it together: each has at least one worker of each trial.
%% @private
-module(router_bench_calibration).
-behaviour(router_bench_trials).

-export([find/3, rate/1, workers/2, latency_ms/1, settled/1]).
-export([warm/1, search/2]).

-export_type([result/0]).

-type result() :: #{rps := float(), rate_per_second := pos_integer(), concurrency := pos_integer()}.

-define(SHARE, 10).
-define(HIGHEST, 20000).
%% For warming up only.
-define(WARMUP_RATE, 100).
-define(WARMUP_WORKERS, 16).
-define(WORKERS_MAX, 1024).
%% Twice the workers are worth it for a twentieth more throughput; below lies noise.
-define(WORTH_IT, 1.05).
%% After so many doublings in a row that were not.
-define(IN_VAIN, 2).
-define(TRIAL_SHARE, 4).

%% 200 samples above p99.
-define(SAMPLES, 20000).
-define(LATENCY_MS_LEAST, 4000).
%% Some requests may fail, and Poisson arrivals vary.
-define(LATENCY_RESERVE, 1.05).

%% @doc Measures the closed loop of a plan's router.
-spec find(router_bench_plan:plan(), router_bench_frozen:code(), DeadlineMs :: integer()) ->
          {ok, result()} | {error, term()}.
find(Plan, Code, DeadlineMs) ->
    router_bench_trials:find(?MODULE, Plan, Code, DeadlineMs).

%% @private
-spec warm(router_bench_plan:plan()) -> router_bench_plan:plan().
warm(#{nodes := Drivers} = Plan) ->
    Plan#{fault := none, rate_per_second := ?WARMUP_RATE, concurrency := max(?WARMUP_WORKERS, length(Drivers))}.

%% @private
-spec search(router_bench_plan:plan(), router_bench_trials:trial()) -> {ok, result()} | {error, term()}.
search(#{concurrency := calibrate, throughput_ms := ThroughputMs, nodes := Drivers} = Plan, Trial) ->
    TrialMs = max(1, ThroughputMs div ?TRIAL_SHARE),
    case workers(max(1, length(Drivers)), fun(Workers) -> rps(Trial, Workers, TrialMs) end) of
        {ok, Workers} -> search(Plan#{concurrency := Workers}, Trial);
        {error, Reason} -> {error, Reason}
    end;
search(#{concurrency := Workers, throughput_ms := ThroughputMs}, Trial) ->
    case rps(Trial, Workers, ThroughputMs) of
        {ok, Rps} when Rps > 0 ->
            {ok, #{rps => Rps, rate_per_second => rate(Rps), concurrency => Workers}};
        {ok, _} ->
            {error, no_request_succeeded};
        {error, Reason} ->
            {error, Reason}
    end.

rps(Trial, Workers, DurationMs) ->
    case Trial(closed, #{concurrency => Workers}, DurationMs) of
        {ok, #{ok := Ok, duration_ns := DurationNs}} -> {ok, Ok * 1.0e9 / DurationNs};
        {error, Reason} -> {error, Reason}
    end.

%% @doc How many workers it takes, at least so many, over any trial that gives their throughput.
-spec workers(Least :: pos_integer(), fun((pos_integer()) -> {ok, Rps :: number()} | {error, term()})) ->
          {ok, pos_integer()} | {error, term()}.
workers(Least, Trial) ->
    double(Trial, Least, Least, 0.0, 0).

double(_Trial, Workers, Best, _BestRps, InVain)
  when InVain =:= ?IN_VAIN; Workers > ?WORKERS_MAX ->
    {ok, Best};
double(Trial, Workers, Best, BestRps, InVain) ->
    case Trial(Workers) of
        {ok, Rps} when Rps > BestRps * ?WORTH_IT -> double(Trial, 2 * Workers, Workers, Rps, 0);
        {ok, _} -> double(Trial, 2 * Workers, Best, BestRps, InVain + 1);
        {error, Reason} -> {error, Reason}
    end.

%% @doc The arrival rate for a throughput.
-spec rate(Rps :: float()) -> pos_integer().
rate(Rps) ->
    Rate = min(?HIGHEST, trunc(Rps / ?SHARE)),
    max(1, two_digits(Rate, 1)).

two_digits(Rate, Unit) when Rate >= 100 -> two_digits(Rate div 10, Unit * 10);
two_digits(Rate, Unit) -> Rate * Unit.

%% @doc How long the open loop lasts at a rate: as long as the samples of a p99 take.
-spec latency_ms(Rate :: pos_integer()) -> pos_integer().
latency_ms(Rate) ->
    max(?LATENCY_MS_LEAST, ceil(?SAMPLES * 1000 * ?LATENCY_RESERVE / Rate)).

%% @doc The plan with the length of its open loop, once the rate is known.
-spec settled(router_bench_plan:plan()) -> router_bench_plan:plan().
settled(#{latency_ms := calibrate, rate_per_second := Rate} = Plan) when is_integer(Rate) ->
    Plan#{latency_ms := latency_ms(Rate)};
settled(Plan) ->
    Plan.
