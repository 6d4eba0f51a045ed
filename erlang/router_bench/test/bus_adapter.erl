%% The toy router behind a transport that is a wait on the clock: the option `transport' says which, and
%% `says' what transport/1 answers instead of that.
-module(bus_adapter).
-behaviour(router_bench_adapter).

-export([init/1, request/2, route/2, counters/1, terminate/1]).
-export([processes/1, control/2, transport/1]).

init(Options) ->
    Name = maps:get(<<"transport">>, Options, maps:get(transport, Options, <<"local">>)),
    {ok, State} = toy_adapter:init(Options),
    {ok, State#{name => Name, wait_us => wait_us(Name), says => maps:get(says, Options, none)}}.

wait_us(<<"local">>) -> 0;
wait_us(<<"nats">>) -> 100;
wait_us(<<"nats-tls">>) -> 200.

request(N, State) ->
    toy_adapter:request(N, State).

route(N, #{wait_us := WaitUs} = State) ->
    ok = wait(erlang:monotonic_time(microsecond) + WaitUs),
    toy_adapter:route(N, State).

wait(UntilUs) ->
    case erlang:monotonic_time(microsecond) < UntilUs of
        true -> wait(UntilUs);
        false -> ok
    end.

counters(State) -> toy_adapter:counters(State).
terminate(State) -> toy_adapter:terminate(State).
processes(State) -> toy_adapter:processes(State).
control(Counter, State) -> toy_adapter:control(Counter, State).

transport(#{says := raises}) ->
    error(planned);
transport(#{says := hangs}) ->
    receive never -> ok end;
transport(#{says := {another_after, File}}) ->
    % The first BEAM leaves a file behind.
    case file:write_file(File, <<>>, [exclusive]) of
        ok -> #{name => <<"bus">>, tls_version => <<"TLSv1.3">>};
        {error, eexist} -> #{name => <<"bus">>, tls_version => <<"TLSv1.2">>}
    end;
transport(#{says := none, name := Name}) ->
    #{name => Name};
transport(#{says := Answer}) ->
    Answer.
