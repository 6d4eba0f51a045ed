%% @doc The router's life around some work: started through its adapter, stopped whatever happens.
-module(router_bench_router).

-export([with/2, counters/2]).

%% @doc Runs `Work' on a started router, in a process of its own that traps exits, and stops the
%% router.
-spec with(router_bench_plan:plan(), fun((router_bench_adapter:state()) -> Result)) ->
          Result | {error, term()} when Result :: {ok, term()} | {error, term()}.
with(Plan, Work) ->
    Caller = self(),
    {Pid, Monitor} = spawn_monitor(fun() -> Caller ! {self(), lifecycle(Plan, Work)} end),
    receive
        {Pid, Result} ->
            erlang:demonitor(Monitor, [flush]),
            Result;
        {'DOWN', Monitor, process, Pid, Reason} ->
            {error, {round_died, Reason}}
    end.

lifecycle(#{adapter := Adapter} = Plan, Work) ->
    process_flag(trap_exit, true),
    % This VM is fresh: of a module that is not loaded nothing seems exported.
    {module, Adapter} = code:ensure_loaded(Adapter),
    try Adapter:init(router_bench_plan:adapter_options(Plan)) of
        {ok, State} ->
            try Work(State)
            after Adapter:terminate(State)
            end;
        {error, Reason} ->
            {error, {adapter_failed, init, Reason}};
        Other ->
            {error, {bad_return, {Adapter, init, 1}, Other}}
    catch
        Class:Reason:Stack -> {error, {adapter_failed, Class, Reason, Stack}}
    end.

%% @doc Reads the router's counters; an answer that is none of the contract's is an error.
-spec counters(module(), router_bench_adapter:state()) ->
          {ok, router_bench_adapter:counters()} | {error, term()}.
counters(Adapter, State) ->
    Answer = Adapter:counters(State),
    IsCount = fun(_, Value) -> is_integer(Value) andalso Value >= 0 end,
    case is_map(Answer) andalso maps:with([errors_total, backpressure_active_total], Answer) of
        false ->
            {error, {bad_return, {Adapter, counters, 1}, Answer}};
        Counted ->
            case maps:filter(IsCount, Counted) of
                Counted -> {ok, Counted};
                _ -> {error, {bad_return, {Adapter, counters, 1}, Answer}}
            end
    end.
