%% @doc The closed loop: each worker sends its next request when the last is answered. Gives the
%% sustained throughput, slice by slice.
%% @private
-module(router_bench_closed_loop).

-export([open/1, slice/2, recorders/1, close/1, run/2, seen/1]).

-export_type([loop/0, slice/0, result/0]).

-opaque loop() :: #{context := router_bench_side:context(),
                    tally := router_bench_outcome:tally(),
                    recorder := router_bench_nif:recorder(),
                    slices := [slice()],               % the latest first
                    abandoned := non_neg_integer()}.
%% `duration_ns' runs from the release of the workers to the last answer.
-type slice() :: #{ok := non_neg_integer(), duration_ns := router_bench_nif:ns()}.
-type result() :: #{duration_ns := router_bench_nif:ns(),
                    slices := [slice()],
                    accounting := router_bench_outcome:accounting(),
                    reasons := [router_bench_outcome:reason()],
                    strays := non_neg_integer(),
                    service_time := router_bench_nif:snapshot()}.

%% Requests of a slice have numbers of their own, the same on both sides of a replay.
-define(NUMBERS_OF_A_SLICE, 16#1000000).

%% @doc A loop that has not run yet. Belongs to the caller, as all its slices must.
-spec open(router_bench_side:context()) -> loop().
open(Context) ->
    #{context => Context, tally => router_bench_outcome:new(),
      recorder => router_bench_nif:recorder_new(erlang:system_info(schedulers)),
      slices => [], abandoned => 0}.

%% @doc Runs for a time with the plan's number of workers, which end with it.
-spec slice(loop(), DurationMs :: pos_integer()) -> {ok, slice(), loop()} | {error, term()}.
slice(#{context := #{plan := Plan} = Context, tally := Tally, recorder := Recorder,
        slices := Slices, abandoned := Abandoned} = Loop, DurationMs) ->
    #{concurrency := Workers, drain_timeout_ms := DrainMs, share := Share} = Plan,
    First = length(Slices) * ?NUMBERS_OF_A_SLICE,
    Owner = self(),
    Crew = router_bench_crew:start(router_bench_share:part(Workers, Share), fun(Number) ->
        EndNs = receive {run_until, Ns} -> Ns end,
        LastNs = loop(Context, Tally, Recorder, EndNs, First + router_bench_share:number(Number, Share),
                      Workers, 0),
        Owner ! {done, self(), LastNs}
    end),
    StartNs = router_bench_nif:now(),
    router_bench_crew:tell(Crew, {run_until, StartNs + DurationMs * 1000000}),
    case router_bench_crew:gather(Crew, done, DurationMs + DrainMs) of
        {ok, LastNs, Killed} ->
            #{count := Ok} = router_bench_nif:recorder_slice(Recorder),
            Answered = lists:sum([Ok | [Before || #{ok := Before} <- Slices]]),
            Requests = router_bench_outcome:unanswered(Tally, Answered, Abandoned, length(Killed)),
            ok = router_bench_outcome:abandoned(Tally, {Requests, in_request(Killed)}),
            % Who was killed worked until now.
            LateNs = [router_bench_nif:now() || Killed =/= []],
            Slice = #{ok => Ok, duration_ns => lists:max([StartNs + 1 | LastNs ++ LateNs]) - StartNs},
            {ok, Slice, Loop#{slices := [Slice | Slices], abandoned := Abandoned + Requests}};
        {error, Reason} ->
            {error, Reason}
    end.

%% Where a request was, of workers of which others may have been between two requests.
in_request(Stacks) ->
    IsInside = fun(Stack) ->
                       lists:any(fun(Frame) -> {element(1, Frame), element(2, Frame)}
                                                   =:= {router_bench_outcome, route} end, Stack)
               end,
    case lists:filter(IsInside, Stacks) ++ Stacks of
        [First | _] -> First;
        [] -> []
    end.

%% The clock reading that starts a request also tells when to end: nothing is read twice. What the
%% loop does besides the request is the same for every router.
loop(#{adapter := Adapter, state := State} = Context, Tally, Recorder, EndNs, N, Step, LastNs) ->
    Request = Adapter:request(N, State),
    case router_bench_nif:start() of
        Now when Now >= EndNs ->
            drain(Tally, Adapter, State),
            LastNs;
        StartNs ->
            router_bench_outcome:sent(Tally),
            AnswerNs = case router_bench_outcome:route(Adapter, Request, State) of
                           ok ->
                               StartNs + router_bench_nif:stop(Recorder, StartNs);
                           NotOk ->
                               NotOkNs = router_bench_nif:now(),
                               ok = router_bench_outcome:count(Tally, NotOk),
                               drain(Tally, Adapter, State),
                               NotOkNs
                       end,
            loop(Context, Tally, Recorder, EndNs, N + Step, Step, AnswerNs)
    end.

%% A request that failed may be answered late: into the mailbox of a worker that does not read it.
drain(Tally, Adapter, State) ->
    receive
        Stray ->
            ok = router_bench_outcome:stray(Tally, Adapter, State, Stray),
            drain(Tally, Adapter, State)
    after 0 -> ok
    end.

%% @doc What it records into.
-spec recorders(loop()) -> #{service_time := router_bench_nif:recorder()}.
recorders(#{recorder := Recorder}) -> #{service_time => Recorder}.

%% @doc What all slices together measured.
-spec close(loop()) -> {ok, result()} | {error, term()}.
close(#{tally := Tally, recorder := Recorder, slices := Latest, abandoned := Abandoned}) ->
    #{count := Ok} = Service = router_bench_nif:recorder_snapshot(Recorder),
    #{strays := Strays} = Counts = router_bench_outcome:counts(Tally),
    case router_bench_outcome:accounting(Counts, Ok, 0, Abandoned) of
        {ok, Accounting} ->
            Slices = lists:reverse(Latest),
            {ok, #{duration_ns => lists:sum([Ns || #{duration_ns := Ns} <- Slices]),
                   slices => Slices, accounting => Accounting,
                   reasons => router_bench_outcome:reasons(Tally), strays => Strays,
                   service_time => Service}};
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc A loop of one slice.
-spec run(router_bench_side:context(), DurationMs :: pos_integer()) ->
          {ok, result()} | {error, term()}.
run(Context, DurationMs) ->
    case slice(open(Context), DurationMs) of
        {ok, _Slice, Loop} -> close(Loop);
        {error, Reason} -> {error, Reason}
    end.

%% @doc What somebody who looks on sees of the slices that have ended; nothing before the first.
-spec seen(loop()) -> [router_bench_side:seen()].
seen(#{slices := []}) ->
    [];
seen(#{tally := Tally, slices := [#{ok := Ok, duration_ns := DurationNs} | _] = Slices}) ->
    Counts = router_bench_outcome:counts(Tally),
    [(maps:with([error, timeout, rejected], Counts))#{
       slices => length(Slices), served => lists:sum([Served || #{ok := Served} <- Slices]),
       served_per_second => Ok * 1.0e9 / DurationNs}].
