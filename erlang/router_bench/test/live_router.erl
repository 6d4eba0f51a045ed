%% A router that runs in a node that others use: it outlives what is measured, and knows what it was told.
-module(live_router).

-export([start/0, called/0, node_state/0, serve/0]).

start() ->
    Caller = self(),
    Pid = spawn(fun() ->
                        true = register(?MODULE, self()),
                        Caller ! {self(), registered},
                        loop([], 0)
                end),
    receive {Pid, registered} -> Pid end.

%% What was called since it was last asked.
called() ->
    Monitor = monitor(process, ?MODULE),
    ?MODULE ! {called, self(), Monitor},
    receive
        {Monitor, Called} ->
            true = demonitor(Monitor, [flush]),
            Called;
        {'DOWN', Monitor, process, _, Reason} ->
            {dead, Reason}
    end.

%% Requests of the node's own, timed by two calls in its code.
serve() ->
    spawn(fun() -> serving() end).

serving() ->
    Mark = router_bench_mark:started(),
    ok = router_bench_mark:ended(Mark, ok),
    erlang:yield(),
    serving().

%% What somebody who measures might leave behind in this VM. Modules of OTP are loaded as they are called, by
%% whomever.
node_state() ->
    Otp = code:lib_dir(),
    #{processes => lists:sort(erlang:processes() -- [self()]), names => lists:sort(registered()),
      modules => lists:sort([Module || {Module, File} <- code:all_loaded(), is_list(File),
                                       not lists:prefix(Otp, File)]),
      old_code => [Module || Module <- erlang:loaded(), erlang:check_old_code(Module)],
      applications => lists:sort(application:loaded_applications()), tables => lists:sort(ets:all()),
      persistent_terms => maps:get(count, persistent_term:info()), monitor => erlang:system_monitor(),
      scheduler_wall_time => erlang:statistics(scheduler_wall_time_all), path => code:get_path(),
      nodes => nodes(connected)}.

loop(Called, Served) ->
    receive
        {called, What} ->
            loop([What | Called], Served);
        {route, From, Reference, _N} ->
            From ! {Reference, ok},
            loop(Called, Served + 1);
        {run, Fun} ->
            _ = spawn(fun() -> true = register(live_call, self()), Fun(), exit(normal) end),
            loop(Called, Served);
        {served, From, Tag} ->
            From ! {Tag, Served},
            loop(Called, Served);
        {called, From, Tag} ->
            From ! {Tag, lists:reverse(Called)},
            loop([], Served)
    end.
