%% A router that does in its boot what brokers do: it makes its BEAM a node, has an epmd started for that, and
%% takes the place of whoever receives the VM's events.
-module(foreign_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).

init(#{} = Options) ->
    ok = case Options of
             #{distributed := true} ->
                 Epmd = filename:join([code:root_dir(), "erts-" ++ erlang:system_info(version), "bin", "epmd"]),
                 [] = os:cmd(Epmd ++ " -daemon"),
                 started(list_to_atom("foreign_" ++ os:getpid() ++ "@127.0.0.1"));
             #{} ->
                 ok
         end,
    Owner = self(),
    Holder = spawn(fun() ->
                           _ = [erlang:system_monitor(self(), [{long_gc, 3600000}])
                                || is_map_key(holds_the_monitor, Options)],
                           Owner ! {self(), ready},
                           watch(Options)
                   end),
    receive {Holder, ready} -> {ok, Holder} end.

%% The epmd may not listen yet.
started(Name) ->
    case net_kernel:start(Name, #{name_domain => longnames}) of
        {ok, _} -> ok;
        {error, _} -> timer:sleep(50), started(Name)
    end.

%% As RabbitMQ does, which complains when it no longer has the place.
watch(#{holds_the_monitor := true} = Options) ->
    receive
        stop -> ok;
        _ -> watch(Options)
    after 10 ->
            {Self, _} = erlang:system_monitor(),
            Self = self(),
            watch(Options)
    end;
watch(_Options) ->
    receive stop -> ok end.

request(N, _State) -> N.

route(_N, _State) -> ok.

counters(Holder) ->
    true = is_process_alive(Holder),
    #{errors_total => 0, backpressure_active_total => 0}.

terminate(Holder) ->
    Holder ! stop.
