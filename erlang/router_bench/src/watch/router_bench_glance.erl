%% @doc Where a run is, for somebody who looks at it from another process of this VM.
%%
%% Whoever runs says it in its own process dictionary: nobody has to be told, nothing has to be started,
%% and nothing is left when it ends or is killed. Reading costs the runner the answer to one signal.
%% @private
-module(router_bench_glance).

-export([during/2, facts/0, go_on/1, tell/1, block/1, latest/0]).

-export_type([facts/0]).

%% `peer' is the BEAM that is asked for something at this moment.
-type facts() :: #{phase := phase(), told_ms := integer(), started_ms := integer(),
                   adapter := module(), deadline_ms := integer(), blocks := pos_integer(),
                   block => pos_integer(), block_ms => integer(), first_block_ms => integer(),
                   role => router_bench_block:role(), peer => none | router_bench_place:place(),
                   slice => {N :: pos_integer(), Of :: pos_integer()}}.
%% What is done: in a BEAM of its own a module's work, or a step of a block.
-type phase() :: starting | module() | boot | start | warm_up | closed | open | recover | finish
               | between_blocks.

%% @doc Does some work, about which there is something to see until it ends.
-spec during(router_bench_plan:plan(), fun(() -> Result)) -> Result.
during(#{adapter := Adapter, blocks := Blocks, timeout_ms := TimeoutMs}, Work) ->
    NowMs = now_ms(),
    _ = put(?MODULE, #{adapter => Adapter, started_ms => NowMs, deadline_ms => NowMs + TimeoutMs,
                       blocks => Blocks, phase => starting, told_ms => NowMs}),
    try Work()
    after erase(?MODULE)
    end.

%% @doc What this process has said, for one that does a part of its work, and of that one's when it has.
-spec facts() -> facts() | undefined.
facts() -> get(?MODULE).

%% @doc Goes on with what another process has said.
-spec go_on(facts() | undefined) -> ok.
go_on(Facts) ->
    _ = put(?MODULE, Facts),
    ok.

%% @doc Says what is different now. Means nothing to a process that does no such work.
-spec tell(map()) -> ok.
tell(News) ->
    case get(?MODULE) of
        undefined ->
            ok;
        Facts ->
            _ = put(?MODULE, maps:merge(Facts, News#{told_ms => now_ms()})),
            ok
    end.

%% @doc Says that a block begins.
-spec block(pos_integer()) -> ok.
block(1) -> tell(#{block => 1, block_ms => now_ms(), first_block_ms => now_ms()});
block(N) -> tell(#{block => N, block_ms => now_ms()}).

%% @doc What was told last by any process; of several runs that is the one that told it.
-spec latest() -> {ok, facts()} | none.
latest() ->
    Told = [{ToldMs, Facts} || Pid <- processes(),
                               {dictionary, Dictionary} <- [process_info(Pid, dictionary)],
                               {?MODULE, #{told_ms := ToldMs} = Facts} <- Dictionary],
    case Told of
        [] -> none;
        _ -> {ok, element(2, lists:max(Told))}
    end.

now_ms() ->
    erlang:monotonic_time(millisecond).
