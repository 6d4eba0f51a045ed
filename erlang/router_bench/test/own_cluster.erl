%% A cluster that runs already: a router's node (`live_router'), those of drivers, and a VM that conducts. They end
%% with this VM.
-module(own_cluster).

-export([with/3, call/4, cookie/0, erl/0, encrypted/2]).
-export([attach/2]).

-define(COOKIE, "a secret of these nodes").
%% Answered before whatever is to happen within a slice does.
-define(ANSWERED, 20).

cookie() -> ?COOKIE.

%% This machine's own.
erl() -> filename:join([code:root_dir(), "bin", "erl"]).

%% `nodes': the router's first, each with the words of its `erl'; `flags': those of all nodes at an
%% address, the conductor's own besides. `Work' is given a function that measures, and the nodes by name. It
%% measures with some options, and may have a function called once in the open loop of a block.
with(#{nodes := Nodes, env := Env, flags := Flags, conductor := {Where, More}}, Options, Work) ->
    Peers = [node_of(Node, Way, Flags, Env) || {Node, Way} <- Nodes],
    Paths = lists:append([["-pa", Dir] || Dir <- router_bench_frozen:code_path(own)]),
    {ok, Conductor, _} = peer:start(#{connection => standard_io, env => Env, args => More ++ Paths ++ Flags(Where)}),
    Named = maps:from_list(lists:zip([Node || {Node, _} <- Nodes], Peers)),
    {live_router, Code, File} = code:get_object_code(live_router),
    _ = [{module, live_router} = peer:call(Peer, code, load_binary, [live_router, File, Code]) || Peer <- Peers],
    _ = peer:call(hd(Peers), live_router, start, []),
    Measure = fun(Own, Event) ->
                      peer:call(Conductor, ?MODULE, attach, [maps:merge(Options, Own), Event], 90000)
              end,
    try Work(Measure, Named#{conductor => Conductor})
    after lists:foreach(fun(Pid) -> catch peer:stop(Pid) end, [Conductor | Peers])
    end.

call(Nodes, Node, {Module, Function}, Arguments) ->
    peer:call(maps:get(Node, Nodes), Module, Function, Arguments, 20000).

node_of(Node, [Program | First], Flags, Env) ->
    [Name, Host] = string:split(atom_to_list(Node), "@"),
    {ok, Peer, Node} = peer:start(#{connection => standard_io, exec => {Program, First}, name => Name, host => Host,
                                    longnames => true, env => Env,
                                    args => ["-start_epmd", "false", "-setcookie", ?COOKIE | Flags(Host)]}),
    Peer.

%% Flags of nodes at some addresses that speak TLS: one authority, and files in a directory.
encrypted(Dir, Addresses) ->
    ok = filelib:ensure_path(Dir),
    Authority = router_bench_certificates:authority(),
    File = fun(Address) -> filename:join(Dir, Address) end,
    _ = [begin
             {ok, Ip} = inet:parse_ipv4strict_address(Address),
             ok = file:write_file(File(Address), router_bench_certificates:options(Authority, {router, Ip})),
             ok = file:change_mode(File(Address), 8#600)
         end || Address <- Addresses],
    fun(Address) -> ["-proto_dist", "inet_tls", "-ssl_dist_optfile", File(Address)] end.

%% In the conductor. A slice of the block has begun in drivers when requests have been answered since the open
%% loop was told.
attach(Options, none) ->
    router_bench:attach(Options);
attach(#{node := Router} = Options, {Block, {Module, Function, Arguments}}) ->
    router_bench:attach(Options#{progress => fun({step, #{activity := open_loop, block := B}}) when B =:= Block ->
                                                     Since = served(Router),
                                                     spawn(fun() ->
                                                                   ok = served(Router, Since + ?ANSWERED),
                                                                   apply(Module, Function, Arguments)
                                                           end);
                                                (_) -> ok
                                             end}).

served(Router, AtLeast) ->
    case served(Router) of
        Served when Served >= AtLeast -> ok;
        _ -> timer:sleep(5), served(Router, AtLeast)
    end.

served(Router) ->
    Monitor = monitor(process, {live_router, Router}),
    {live_router, Router} ! {served, self(), Monitor},
    receive
        {Monitor, Served} -> true = demonitor(Monitor, [flush]), Served;
        {'DOWN', Monitor, process, _, Reason} -> exit(Reason)
    end.
