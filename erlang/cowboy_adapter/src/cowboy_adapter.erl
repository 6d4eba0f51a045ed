%% @doc Measures cowboy 2: a request for one of twenty routes.
%%
%% The option `mode': `http' (the default) sends it to a listener on loopback, each worker over a connection of its
%% own that is kept alive, client and server in one BEAM; `router' only asks `cowboy_router' which handler it has.
-module(cowboy_adapter).
-behaviour(router_bench_adapter).
-export([init/1, init/2, request/2, route/2, counters/1, control/2, processes/1, terminate/1, detach/1, transport/1]).

-define(ROUTES, 20).
-define(ANSWER_MAX_MS, 5000).

%% @doc Starts a listener on a free port of loopback, or, in the mode `router', compiles routes alone.
-spec init(router_bench_adapter:options()) -> {ok, map()} | {error, term()}.
init(#{keys := Keys} = Options) ->
    Mode = maps:get(<<"mode">>, Options, <<"http">>),
    State = #{mode => Mode, keys => Keys, errors => counters:new(1, [])},
    case {Mode, code:which(cowboy)} of
        {_, non_existing} -> {error, "no cowboy: ERL_LIBS must name the directory that it is in"};
        {<<"router">>, _} -> {ok, State#{env => #{dispatch => routes()}}};
        {<<"http">>, _} -> {ok, listen(State#{listener => {?MODULE, make_ref()}})};
        _ -> {error, {unknown_mode, Mode, "http or router"}}
    end.

routes() ->
    cowboy_router:compile([{'_', [{[path(I), "/:id/[...]"], ?MODULE, []} || I <- lists:seq(0, ?ROUTES - 1)]}]).

path(I) -> ["/api/v1/tenant", integer_to_list(I)].

listen(#{listener := Name} = State) ->
    {ok, _} = application:ensure_all_started(cowboy),
    {ok, _} = cowboy:start_clear(Name, #{socket_opts => [{ip, {127, 0, 0, 1}}, {port, 0}]},
                                 % A connection lasts as long as its worker, which may have nothing to do for a while.
                                 #{env => #{dispatch => routes()}, max_keepalive => infinity,
                                   request_timeout => infinity, idle_timeout => infinity}),
    State#{port => ranch:get_port(Name)}.

%% @doc The handler of cowboy, at the end of each route.
-spec init(map(), term()) -> {ok, map(), term()}.
init(Request, Options) -> {ok, cowboy_req:reply(204, Request), Options}.

%% @doc A request for one of the routes; over HTTP with the connection of the worker that asks for it.
-spec request(non_neg_integer(), map()) -> term().
request(N, #{keys := Keys} = State) ->
    Key = router_bench_keys:key(N, Keys),
    get([path(Key rem ?ROUTES), $/, integer_to_list(Key), "/x"], State).

get(Path, #{port := Port}) ->
    {connection(get({?MODULE, Port}), Port), ["GET ", Path, " HTTP/1.1\r\nhost: localhost\r\n\r\n"]};
get(Path, _State) ->
    #{method => <<"GET">>, version => 'HTTP/1.1', host => <<"localhost">>, path => iolist_to_binary(Path),
      headers => #{}, pid => self(), streamid => 1}.

connection(undefined, Port) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}, {nodelay, true}]),
    _ = put({?MODULE, Port}, Socket),
    Socket;
connection(Socket, _Port) ->
    Socket.

%% @doc Sends a request and reads the whole answer, or asks the router alone. Whatever is not served is an error.
-spec route(term(), map()) -> router_bench_adapter:result().
route({Socket, Request}, State) ->
    ok = gen_tcp:send(Socket, Request),
    case answer(Socket, <<>>) of
        {ok, 204} -> ok;
        {ok, Status} -> failed({http_status, Status}, State);
        {error, Reason} -> _ = erase({?MODULE, maps:get(port, State)}), failed(Reason, State)
    end;
route(Request, #{env := Env} = State) ->
    case cowboy_router:execute(Request, Env) of
        {ok, _, #{handler := ?MODULE}} -> ok;
        {stop, _} -> receive {{_, 1}, Answer} -> failed({not_routed, Answer}, State) end
    end.

%% No answer here has a body.
answer(Socket, Begun) ->
    case gen_tcp:recv(Socket, 0, ?ANSWER_MAX_MS) of
        {ok, More} ->
            Read = <<Begun/binary, More/binary>>,
            case binary:longest_common_suffix([Read, <<"\r\n\r\n">>]) of
                4 -> <<"HTTP/1.1 ", Status:3/binary, _/binary>> = Read, {ok, binary_to_integer(Status)};
                _ -> answer(Socket, Read)
            end;
        {error, Reason} -> {error, Reason}
    end.

failed(Reason, #{errors := Errors}) ->
    counters:add(Errors, 1, 1),
    {error, Reason}.

%% @doc What was not served. Cowboy holds nobody back whom it has accepted.
-spec counters(map()) -> router_bench_adapter:counters().
counters(#{errors := Errors}) -> #{errors_total => counters:get(Errors, 1)}.

%% @doc A request for what has no route.
-spec control(errors_total | backpressure_active_total, map()) -> term().
control(errors_total, State) -> route(get("/nobody", State), State);
control(backpressure_active_total, _State) -> not_offered.

%% @doc Over HTTP the listener lives as long as its supervisors.
-spec processes(map()) -> [atom()].
processes(State) -> [Name || Name <- [ranch_sup, cowboy_sup], is_map_key(listener, State)].

%% @doc What is between a worker and the router.
-spec transport(map()) -> #{name := binary(), server => binary()}.
transport(#{mode := <<"router">>}) -> #{name => <<"local">>};
transport(_State) ->
    {ok, Version} = application:get_key(cowboy, vsn),
    #{name => <<"http">>, server => iolist_to_binary(["cowboy ", Version])}.

%% @doc Stops what was started.
-spec terminate(map()) -> term().
terminate(State) -> detach(State), [application:stop(Name) || Name <- [cowboy, ranch]].

%% @doc Closes the listener.
-spec detach(map()) -> term().
detach(#{listener := Name}) -> cowboy:stop_listener(Name);
detach(_State) -> ok.
