%% @doc The workers of a phase: started together, watched, and gone at its end whatever happens.
%%
%% The owner traps exits and watches the router's processes with monitors by name; whoever dies
%% first ends the phase.
%% @private
-module(router_bench_crew).

-export([start/2, tell/2, gather/3, await/3, disband/1]).

-export_type([crew/0, death/0, abandoned/0]).

-opaque crew() :: #{pid() => reference()}.
%% Where each of the workers was that had to be killed: inside a request or between two.
-type abandoned() :: [Stack :: [term()]].
-type death() :: {worker_died, Reason :: term()} | {router_died, Name :: atom(), Reason :: term()}.

%% @doc Starts workers number 0 to `Size - 1', each running `Work(Number)'.
-spec start(pos_integer(), fun((non_neg_integer()) -> term())) -> crew().
start(Size, Work) ->
    maps:from_list([spawn_opt(fun() -> Work(Number) end, [link, monitor])
                    || Number <- lists:seq(0, Size - 1)]).

%% @doc Sends a message to every worker.
-spec tell(crew(), term()) -> ok.
tell(Crew, Message) ->
    lists:foreach(fun(Pid) -> Pid ! Message end, maps:keys(Crew)).

%% @doc Collects `{Tag, Pid, Value}' from every worker and ends them all. Who has not answered after
%% `TimeoutMs' is killed; once this returns nothing more is counted by any of them.
-spec gather(crew(), Tag :: atom(), TimeoutMs :: non_neg_integer()) ->
          {ok, [Value :: term()], abandoned()} | {error, death()}.
gather(Crew, Tag, TimeoutMs) ->
    Result = await(Crew, Tag, TimeoutMs),
    disband(Crew),
    Result.

%% @doc The same of workers that live on.
-spec await(crew(), Tag :: atom(), TimeoutMs :: non_neg_integer()) ->
          {ok, [Value :: term()], abandoned()} | {error, death()}.
await(Crew, Tag, TimeoutMs) ->
    DeadlineMs = erlang:monotonic_time(millisecond) + TimeoutMs,
    gather(Crew, Tag, DeadlineMs, Crew, []).

gather(_Crew, _Tag, _DeadlineMs, Waiting, Values) when map_size(Waiting) =:= 0 ->
    {ok, Values, []};
gather(Crew, Tag, DeadlineMs, Waiting, Values) ->
    LeftMs = max(0, DeadlineMs - erlang:monotonic_time(millisecond)),
    receive
        {Tag, Pid, Value} when is_map_key(Pid, Waiting) ->
            gather(Crew, Tag, DeadlineMs, maps:remove(Pid, Waiting), [Value | Values]);
        {'DOWN', Monitor, process, Who, Reason} ->
            % A worker's last message comes before its end, so one that still owes it has died.
            case is_pid(Who) andalso not is_map_key(Who, Waiting) of
                true -> gather(Crew, Tag, DeadlineMs, Waiting, Values);
                false -> {error, death(Crew, Monitor, Who, Reason)}
            end
    after LeftMs -> {ok, Values, [stack(Pid) || Pid <- maps:keys(Waiting)]}
    end.

stack(Pid) ->
    case process_info(Pid, current_stacktrace) of
        {current_stacktrace, Stack} -> Stack;
        undefined -> []
    end.

death(Crew, Monitor, Pid, Reason) when is_pid(Pid) ->
    case Crew of
        #{Pid := Monitor} -> {worker_died, Reason};
        #{} -> none
    end;
death(_Crew, _Monitor, {Name, _Node}, Reason) ->
    {router_died, Name, Reason}.

%% @doc Kills whoever is left, and waits for the end of each.
-spec disband(crew()) -> ok.
disband(Crew) ->
    maps:foreach(fun(Pid, _) -> exit(Pid, kill) end, Crew),
    maps:foreach(fun(Pid, Monitor) ->
                         receive {'EXIT', Pid, _} -> ok end,
                         erlang:demonitor(Monitor, [flush])
                 end, Crew).
