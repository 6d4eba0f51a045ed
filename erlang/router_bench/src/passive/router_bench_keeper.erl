%% @doc Holds what a watch has changed in its node, and takes it back: when it is told to, and when the
%% watching process ends in whatever way.
%%
%% That are the handlers of `telemetry', the persistent term of {@link router_bench_mark}, and the adapter, which is
%% told that the node runs already (`attached => true' in the options of `init/1') and never asked to
%% terminate it. An adapter that hangs holds up this process only.
%% @private
-module(router_bench_keeper).

-export([start/1, record/3, take_back/1, take_back/0, give_back/1]).

-export_type([keeper/0]).

-type keeper() :: {pid(), reference()}.
-type adapter() :: {module(), Options :: map()} | none.

%% @doc Starts it; `{Pid, ready, {Module, State}}' or `{Pid, failed, Reason}' comes when the adapter has
%% answered, and an adapter that is none does so at once.
-spec start(adapter()) -> keeper().
start(Adapter) ->
    Watch = self(),
    spawn_monitor(fun() ->
        Monitor = monitor(process, Watch),
        case init(Adapter) of
            {ok, Held} ->
                Entrusted = entrusted(Held),
                Watch ! {self(), ready, Held},
                ok = keep(Watch, Monitor, Held),
                released(Entrusted);
            {error, Reason} ->
                Watch ! {self(), failed, Reason}
        end
    end).

%% @doc Has requests recorded from now on.
-spec record(keeper(), router_bench_watch:what(), router_bench_recording:recording()) ->
          ok | {error, term()}.
record({Pid, Monitor}, What, Recording) ->
    Pid ! {self(), record, What, Recording},
    receive
        {Pid, recorded, Result} -> Result;
        {'DOWN', Monitor, process, Pid, Reason} -> {error, {keeper_died, Reason}}
    end.

%% @doc Takes everything back, and waits for it for some time.
-spec take_back(keeper()) -> ok.
take_back({Pid, Monitor}) ->
    % Whatever the adapter does, requests are not recorded any more.
    ok = take_back(),
    Pid ! {self(), take_back},
    receive
        {'DOWN', Monitor, process, Pid, _} -> ok
    after 5000 -> % an adapter that hangs
            exit(Pid, kill),
            receive {'DOWN', Monitor, process, Pid, _} -> ok end
    end.

%% @doc Has nothing recorded any more.
-spec take_back() -> ok.
take_back() ->
    ok = router_bench_spans:detach(),
    case router_bench_mark:is_watched() of
        true -> router_bench_mark:unwatch();
        false -> ok
    end.

%% @doc The same, and what the adapter has made here.
-spec give_back({module(), router_bench_adapter:state()}) -> ok.
give_back({Adapter, State}) ->
    ok = take_back(),
    detach(Adapter, State).

%% Where the bench is attached, all its processes may be killed at once.
entrusted(Held) ->
    case whereis(router_bench_guardian) of
        undefined -> none;
        _ -> router_bench_guardian:entrust({?MODULE, give_back, [Held]})
    end.

released(none) -> ok;
released(Reference) -> router_bench_guardian:release(Reference).

init(none) ->
    {ok, {router_bench_bystander, none}};
init({Adapter, Options}) ->
    try Adapter:init(Options#{attached => true}) of
        {ok, State} -> {ok, {Adapter, State}};
        {error, Reason} -> {error, {adapter_failed, {Adapter, init, 1}, {error, Reason}}};
        Other -> {error, {bad_return, {Adapter, init, 1}, Other}}
    catch
        Class:Reason:Stack -> {error, {adapter_failed, {Adapter, init, 1}, {Class, Reason, Stack}}}
    end.

keep(Watch, Monitor, {Adapter, State} = Held) ->
    receive
        {Watch, record, What, Recording} ->
            Watch ! {self(), recorded, recorded(What, Recording)},
            keep(Watch, Monitor, Held);
        {Watch, take_back} ->
            detach(Adapter, State);
        {'DOWN', Monitor, process, Watch, _} ->
            give_back(Held);
        _Stray ->
            keep(Watch, Monitor, Held)
    end.

recorded({spans, Prefixes, Answer}, Recording) ->
    router_bench_spans:attach(Prefixes, Recording, Answer);
recorded(calls, Recording) ->
    router_bench_mark:watch(router_bench_recording, Recording).

detach(Adapter, State) ->
    case erlang:function_exported(Adapter, detach, 1) of
        true ->
            _ = Adapter:detach(State),
            ok;
        false ->
            ok
    end.
