%% @doc A process of a BEAM that does one thing after the other, as it is asked to from outside. Between
%% two nothing of it runs.
%%
%% It has an owner, which says how it ended to whoever asks later.
%% @private
-module(router_bench_asked).

-export([start/2, ask/2, serve/2]).

-export_type([names/0, do/1]).

%% Under which the process and its owner are registered.
-type names() :: {Process :: atom(), Owner :: atom()}.
%% Does what is asked: then comes the next, or it is the end.
-type do(Kept) :: fun((What :: term(), Kept) -> {next, Answer :: term(), do(Kept), Kept} | (Ended :: term())).

%% @doc Starts it. Its life is a function that says when it is ready, {@link serve/2}s, perhaps in a process
%% of its own, and gives how it ended.
-spec start(names(), fun((Ready :: fun(() -> ok)) -> Ended)) -> ok | Ended | {error, {block_died, term()}}.
start({Process, Owner}, Life) ->
    Caller = self(),
    Reference = make_ref(),
    {_Owner, Monitor} = spawn_monitor(fun() ->
        true = register(Owner, self()),
        Ended = Life(fun() ->
                             true = register(Process, self()),
                             Caller ! {Reference, ok},
                             ok
                     end),
        Caller ! {Reference, Ended},
        tell(Ended)
    end),
    await(Monitor, Reference).

%% Says to whoever has asked, or asks, how it ended.
tell(Ended) ->
    receive {ask, Caller, Reference, _What} -> Caller ! {Reference, Ended} end,
    tell(Ended).

%% @doc Asks for something, and gives the answer.
-spec ask(names(), What :: term()) -> term().
ask({Process, Owner}, What) ->
    Reference = make_ref(),
    Monitor = monitor(process, Owner),
    % Both are asked: the owner does not hear it before the process has ended.
    _ = [Pid ! {ask, self(), Reference, What} || Name <- [Process, Owner],
                                                 Pid <- [whereis(Name)], is_pid(Pid)],
    await(Monitor, Reference).

await(Monitor, Reference) ->
    receive
        {Reference, Answer} ->
            erlang:demonitor(Monitor, [flush]),
            Answer;
        {'DOWN', Monitor, process, _, Reason} ->
            {error, {block_died, Reason}}
    end.

%% @doc Waits for what is asked next. The caller traps exits; a process that it monitors by name, one of the
%% router's, ends it all by its death.
-spec serve(do(Kept), Kept) -> Ended :: term().
serve(Do, Kept) ->
    receive
        {ask, Caller, Reference, What} ->
            case Do(What, Kept) of
                {next, Answer, Next, More} ->
                    Caller ! {Reference, Answer},
                    serve(Next, More);
                Ended ->
                    Ended
            end;
        {'DOWN', _Monitor, process, {Name, _Node}, Reason} ->
            {error, {router_died, Name, Reason}};
        {'EXIT', _Linked, _Reason} ->
            serve(Do, Kept)
    end.
