%% Measuring in a node that runs already. The node and whoever conducts are BEAMs of their own, beside an
%% epmd of their own; both talk to this one over their standard input and output.
-module(router_bench_attach_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2, end_per_testcase/2]).
-export([a_run_leaves_the_node_as_it_was/1,
         what_may_hurt_is_done_where_it_is_asked_for_and_not_else/1,
         a_load_that_is_not_named_is_refused/1,
         an_adapter_may_refuse_and_the_node_is_as_it_was/1,
         a_run_that_fails_leaves_the_node_as_it_was/1,
         a_conductor_that_is_killed_leaves_the_node_as_it_was/1,
         a_connection_that_is_cut_leaves_the_node_as_it_was/1,
         a_run_that_is_stopped_leaves_the_node_as_it_was/1,
         whoever_has_the_place_of_the_monitor_keeps_it/1,
         two_runs_do_not_meet_in_a_node/1,
         a_module_that_the_node_has_is_neither_replaced_nor_taken_away/1,
         a_process_that_runs_code_of_the_adapter_is_not_killed/1,
         a_node_that_cannot_be_attached_to_is_told_with_the_cure/1,
         what_a_node_cannot_load_is_refused_and_taken_back/1,
         a_cookie_file_is_the_owners_alone_and_its_cookie_is_in_no_report/1,
         code_that_the_node_has_otherwise_is_no_commit/1,
         a_connection_that_was_there_stays/1,
         a_vm_measures_in_itself/1,
         watched_traffic_of_a_node_leaves_it_as_it_was/1,
         a_watch_whose_conductor_is_killed_leaves_the_node_as_it_was/1,
         a_watch_that_is_stopped_keeps_its_windows_and_leaves_the_node_as_it_was/1]).

-define(COOKIE, "a secret of this suite").
-define(PATIENCE_MS, 20000).
-define(NODE, 'live@127.0.0.1').

suite() ->
    [{timetrap, {minutes, 2}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports),
          not lists:member(F, [module_info, init_per_suite, end_per_suite])].

init_per_suite(Config) ->
    {Epmd, Env} = own_epmd:start(),
    Cookie = filename:join(proplists:get_value(priv_dir, Config), "cookie"),
    ok = file:write_file(Cookie, [?COOKIE, $\n]),
    ok = file:change_mode(Cookie, 8#600),
    [{epmd, Epmd}, {env, Env}, {cookie, Cookie} | Config].

end_per_suite(Config) ->
    own_epmd:stop(proplists:get_value(epmd, Config)).

init_per_testcase(_Case, Config) ->
    Env = proplists:get_value(env, Config),
    [Directory] = [filename:dirname(code:which(live_router))],
    {ok, Live, ?NODE} =
        peer:start_link(#{connection => standard_io, name => live, host => "127.0.0.1", longnames => true,
                          env => Env, args => ["-start_epmd", "false", "+A", "3", "-setcookie", ?COOKIE]}),
    {module, live_router} = peer:call(Live, code, load_abs, [filename:join(Directory, "live_router")]),
    _ = peer:call(Live, live_router, start, []),
    [{live, Live}, {conductor, conductor(Config)} | Config].

end_per_testcase(_Case, Config) ->
    [peer:stop(Pid) || Key <- [conductor, live], Pid <- [proplists:get_value(Key, Config)],
                       is_process_alive(Pid)],
    ok.

conductor(Config) ->
    Paths = lists:append([["-pa", Dir] || Dir <- router_bench_frozen:code_path(own)]),
    {ok, Conductor, _} = peer:start_link(#{connection => standard_io, env => proplists:get_value(env, Config),
                                           args => ["-nocookie" | Paths]}),
    unlink(Conductor),
    Conductor.

options(Config, More) ->
    maps:merge(#{node => ?NODE, cookie_file => proplists:get_value(cookie, Config), adapter => guest_adapter,
                 blocks => 1, warmup_ms => 20, throughput_ms => 100, latency_ms => 200,
                 rate_per_second => 2000, concurrency => 2, quiet => true}, More).

attach(Config, More) ->
    peer:call(proplists:get_value(conductor, Config), router_bench, attach, [options(Config, More)], 60000).

live(Config, Module, Function, Arguments) ->
    peer:call(proplists:get_value(live, Config), Module, Function, Arguments).

state(Config) ->
    live(Config, live_router, node_state, []).

%% What belongs to a connection, and what answers here, takes its time to go.
is_as_before(Before, Config) ->
    ok = wait_until(fun() -> state(Config) =:= Before end,
                    fun() -> {differs, maps:filter(fun(Key, Now) -> Now =/= maps:get(Key, Before) end,
                                                   state(Config))}
                    end).

wait_until(Is, Why) ->
    wait_until(Is, Why, erlang:monotonic_time(millisecond) + ?PATIENCE_MS).

wait_until(Is, Why, DeadlineMs) ->
    case {Is(), erlang:monotonic_time(millisecond) < DeadlineMs} of
        {true, _} -> ok;
        {false, true} -> timer:sleep(50), wait_until(Is, Why, DeadlineMs);
        {false, false} -> error(Why())
    end.

%% Before anything is measured: what the first call of anybody makes for good is there.
before(Config) ->
    {error, {failed, _, _}} = attach(Config, #{adapter_options => #{refuses => true}}),
    _ = live(Config, live_router, called, []),
    ok = wait_until(fun() -> Now = state(Config), timer:sleep(200), Now =:= state(Config) end,
                    fun() -> restless end),
    state(Config).

a_run_leaves_the_node_as_it_was(Config) ->
    Before = before(Config),
    {ok, Report} = attach(Config, #{blocks => 2}),
    #{env := #{attached := true, distributed := true, otp_release := _, router_bench_version := _},
      controls := #{}, accounting := #{latency := #{ok := 800}}} = Report,
    % Each block asks the adapter anew, and nothing that hurts is called.
    [init, detach, init, detach] = live(Config, live_router, called, []),
    is_as_before(Before, Config),
    % Again, with code that was there before and is not any more.
    {ok, _} = attach(Config, #{}),
    is_as_before(Before, Config),
    % What is never unmapped is there once, and its file is gone.
    {ok, Maps} = live(Config, file, read_file, ["/proc/self/maps"]),
    [{_, Library}] = lists:usort([{Inode, File} || Line <- string:lexemes(binary_to_list(Maps), "\n"),
                                [_, _, _, _, Inode, "/tmp/router_bench_native." ++ _ = File | _] <- [string:lexemes(Line, " ")]]),
    false = filelib:is_file(filename:dirname(Library)),
    nonode@nohost = peer:call(proplists:get_value(conductor, Config), erlang, node, []).

what_may_hurt_is_done_where_it_is_asked_for_and_not_else(Config) ->
    Before = before(Config),
    {error, {bad_option, fault, _, "none, or attach_allow with fault" ++ _}} =
        attach(Config, #{fault => "delay_us=10"}),
    {ok, #{controls := Controls}} = attach(Config, #{control => true}),
    0 = map_size(Controls),
    [init, detach] = live(Config, live_router, called, []),
    {ok, Report} = attach(Config, #{attach_allow => [control, fault, terminate], fault => "delay_us=10"}),
    #{controls := #{errors_total := alive, backpressure_active_total := not_offered},
      run := #{planted_fault := <<"delay_us=10">>}} = Report,
    [init, control, terminate, init, terminate] = live(Config, live_router, called, []),
    true = live(Config, persistent_term, erase, [guest]), % which this adapter takes back in detach/1
    is_as_before(Before, Config).

a_load_that_is_not_named_is_refused(Config) ->
    [{error, {bad_option, Key, calibrate, "a number: " ++ _}} = attach(Config, #{Key => calibrate})
     || Key <- [rate_per_second, concurrency]],
    {error, {missing_option, node}} = attach(Config, #{node => none}),
    {error, {bad_option, node, _, _}} = attach(Config, #{node => live}),
    {error, {bad_option, attach_allow, _, _}} = attach(Config, #{attach_allow => [everything]}),
    {error, {bad_option, node, ?NODE, _}} = router_bench:run(options(Config, #{})).

an_adapter_may_refuse_and_the_node_is_as_it_was(Config) ->
    Before = before(Config),
    {error, {failed, Text, _}} = attach(Config, #{adapter_options => #{refuses => true}}),
    true = is_said("no_guests_here", Text),
    [] = live(Config, live_router, called, []),
    is_as_before(Before, Config).

a_run_that_fails_leaves_the_node_as_it_was(Config) ->
    Before = before(Config),
    {error, {failed, Text, _}} = attach(Config, #{adapter_options => #{answer => surprise}}),
    true = is_said("surprise", Text),
    [init, detach] = live(Config, live_router, called, []),
    is_as_before(Before, Config).

%% In the middle of a block that would last a minute.
in_the_middle_of_a_run(Config) ->
    Conductor = proplists:get_value(conductor, Config),
    Test = self(),
    Runner = spawn_link(fun() ->
                                Test ! {self(), try attach(Config, #{latency_ms => 60000})
                                                catch _:_ -> gone
                                                end}
                        end),
    ok = wait_until(fun() ->
                            is_pid(live(Config, erlang, whereis, [guest_helper]))
                                andalso live(Config, erlang, statistics, [scheduler_wall_time_all]) =/= undefined
                    end, fun() -> never_ran end),
    {Conductor, Runner}.

ended(Runner) ->
    receive {Runner, Result} -> Result end.

a_conductor_that_is_killed_leaves_the_node_as_it_was(Config) ->
    Before = before(Config),
    {Conductor, Runner} = in_the_middle_of_a_run(Config),
    OsPid = peer:call(Conductor, os, getpid, []),
    _ = os:cmd("kill -KILL " ++ OsPid),
    gone = ended(Runner),
    is_as_before(Before, Config),
    [init, detach] = live(Config, live_router, called, []).

a_connection_that_is_cut_leaves_the_node_as_it_was(Config) ->
    Before = before(Config),
    {_Conductor, Runner} = in_the_middle_of_a_run(Config),
    [Guest] = live(Config, erlang, nodes, [hidden]),
    true = live(Config, erlang, disconnect_node, [Guest]),
    {error, {failed, Text, _}} = ended(Runner),
    true = is_said("connection to live@127.0.0.1 was cut", Text),
    is_as_before(Before, Config),
    [init, detach] = live(Config, live_router, called, []).

a_run_that_is_stopped_leaves_the_node_as_it_was(Config) ->
    Before = before(Config),
    {Conductor, Runner} = in_the_middle_of_a_run(Config),
    ok = peer:call(Conductor, router_bench, stop, [], 60000),
    {error, {interrupted, _}} = ended(Runner),
    is_as_before(Before, Config),
    [init, detach] = live(Config, live_router, called, []).

whoever_has_the_place_of_the_monitor_keeps_it(Config) ->
    Holder = live(Config, erlang, whereis, [live_router]),
    undefined = live(Config, erlang, system_monitor, [Holder, [{long_gc, 3600000}]]),
    Before = before(Config),
    {ok, #{blocks := [#{vm := Vm}]}} = attach(Config, #{}),
    [] = [Event || Event <- [long_gc, long_schedule], is_map_key(Event, Vm)],
    is_as_before(Before, Config).

two_runs_do_not_meet_in_a_node(Config) ->
    Before = before(Config),
    {Conductor, Runner} = in_the_middle_of_a_run(Config),
    Second = conductor(Config),
    {error, {not_attached, ?NODE, already_attached}} =
        peer:call(Second, router_bench, attach, [options(Config, #{})], 60000),
    ok = peer:stop(Second),
    % The first goes on.
    true = is_pid(live(Config, erlang, whereis, [guest_helper])),
    ok = peer:call(Conductor, router_bench, stop, [], 60000),
    {error, {interrupted, _}} = ended(Runner),
    is_as_before(Before, Config).

a_module_that_the_node_has_is_neither_replaced_nor_taken_away(Config) ->
    Name = router_bench_outcome,
    Forms = [{attribute, 1, module, Name}, {attribute, 2, export, []}],
    {ok, Name, Other} = compile:forms(Forms),
    {module, Name} = live(Config, code, load_binary, [Name, "other.erl", Other]),
    Before = before_refusal(Config),
    {error, {not_attached, ?NODE, {other_build, Name}}} = attach(Config, #{}),
    is_as_before(Before, Config),
    {file, "other.erl"} = live(Config, code, is_loaded, [Name]),
    % The same build is used, and stays.
    true = live(Config, code, delete, [Name]),
    {module, Name} = live(Config, code, load_abs, [filename:rootname(code:which(Name))]),
    {ok, _} = attach(Config, #{}),
    {file, _} = live(Config, code, is_loaded, [Name]).

before_refusal(Config) ->
    {error, {not_attached, _, _}} = attach(Config, #{}),
    ok = wait_until(fun() -> maps:get(nodes, state(Config)) =:= [] end, fun() -> connected end),
    state(Config).

a_process_that_runs_code_of_the_adapter_is_not_killed(Config) ->
    Before = before(Config),
    Attach = fun() -> attach(Config, #{adapter_options => #{stays_in_a_call => true}}) end,
    {ok, _} = Attach(),
    Call = live(Config, erlang, whereis, [live_call]),
    true = is_pid(Call),
    #{old_code := [guest_adapter], modules := Modules} = state(Config),
    Modules = maps:get(modules, Before),
    % The next run could not take its own away without killing it.
    {error, {not_attached, ?NODE, {still_runs, guest_adapter} = Why}} = attach(Config, #{}),
    true = is_said("still runs", router_bench_failure:sentence({not_attached, ?NODE, Why})),
    Call = live(Config, erlang, whereis, [live_call]),
    _ = live(Config, erlang, send, [Call, go_on]),
    ok = wait_until(fun() -> live(Config, erlang, whereis, [live_call]) =:= undefined end, fun() -> stays end),
    {ok, _} = attach(Config, #{}),
    _ = live(Config, live_router, called, []),
    is_as_before(Before, Config).

a_node_that_cannot_be_attached_to_is_told_with_the_cure(Config) ->
    Said = fun(Node, More) ->
                   {error, {not_attached, Node, _} = Reason} = attach(Config, More#{node => Node}),
                   router_bench_failure:sentence(Reason)
           end,
    [true = is_said(Words, Said(Node, More))
     || {Node, More, Words} <- [{'other@127.0.0.1', #{}, "knows no other"},
                                {'live@192.0.2.1', #{}, "no epmd answers at 192.0.2.1"},
                                {?NODE, #{cookie_file => wrong_cookie(Config)}, "its cookie is another"},
                                % As the gate names a file.
                                {?NODE, #{cookie_file => list_to_binary(wrong_cookie(Config))}, "wrong_cookie, its"},
                                {?NODE, #{cookie_file => "/nowhere"}, "/nowhere cannot be used"}]],
    nonode@nohost = peer:call(proplists:get_value(conductor, Config), erlang, node, []),
    Reasons = [{no_library, "/tmp/a", eacces}, {not_loaded, m, badfile, "25"}, {no_epmd, "h", 4369}],
    [true = is_said("cannot be attached to n@h: ", router_bench_failure:sentence({not_attached, 'n@h', Why}))
     || Why <- Reasons].

%% As of a node on another host, or of an older release.
what_a_node_cannot_load_is_refused_and_taken_back(Config) ->
    {ok, good, Good} = compile:forms([{attribute, 1, module, good}]),
    Luggage = #{modules => [{good, "good.beam", Good, <<>>}], application => {application, guest, []},
                library => none, leader => group_leader(), limit_ms => 60000, ending_ms => 1000},
    Refused = fun(More) ->
                      Guardian = router_bench_guardian:start(self(), false),
                      Monitor = monitor(process, Guardian),
                      Guardian ! {load, self(), maps:merge(Luggage, More)},
                      Refusal = receive {Guardian, refused, Why} -> Why end,
                      receive {'DOWN', Monitor, process, Guardian, normal} -> ok end,
                      Refusal
              end,
    Older = {later, "later.beam", <<"of another release">>, <<>>},
    Release = erlang:system_info(otp_release),
    {not_loaded, later, badfile, Release} =
        Refused(#{modules => [{good, "good.beam", Good, <<>>}, Older]}),
    Nowhere = filename:join([proplists:get_value(priv_dir, Config), "nowhere", "native"]),
    {no_library, Nowhere, enoent} = Refused(#{library => {filename:join(Nowhere, "library"), <<>>}}),
    false = erlang:module_loaded(good),
    false = lists:keymember(guest, 1, application:loaded_applications()),
    undefined = whereis(router_bench_guardian).

wrong_cookie(Config) ->
    File = filename:join(proplists:get_value(priv_dir, Config), "wrong_cookie"),
    _ = file:delete(File),
    ok = file:write_file(File, "another"),
    ok = file:change_mode(File, 8#400),
    File.

a_cookie_file_is_the_owners_alone_and_its_cookie_is_in_no_report(Config) ->
    Open = filename:join(proplists:get_value(priv_dir, Config), "open_cookie"),
    ok = file:write_file(Open, ?COOKIE),
    ok = file:change_mode(Open, 8#644),
    {error, {not_attached, ?NODE, {cookie_file, Open, open_to_others}} = Reason} =
        attach(Config, #{cookie_file => Open}),
    true = is_said("chmod 600", router_bench_failure:sentence(Reason)),
    {ok, #{env := #{vm_flags := Flags}} = Report} = attach(Config, #{}),
    true = is_said("+A 3", Flags),
    false = is_said("live@", Flags),
    {ok, Json} = router_bench_nif:report_encode(Report),
    false = is_said(?COOKIE, Json),
    false = is_said("setcookie", Json).

code_that_the_node_has_otherwise_is_no_commit(Config) ->
    [Dir | _] = [Dir || Dir <- router_bench_frozen:project_path(own),
                        filelib:wildcard(filename:join(Dir, "*.beam")) =/= []],
    [File | _] = filelib:wildcard(filename:join(Dir, "*.beam")),
    Name = list_to_atom(filename:basename(File, ".beam")),
    Dirty = fun() ->
                    {ok, #{git := Git}} = attach(Config, #{project_dir => filename:dirname(Dir)}),
                    maps:get(dirty, Git, unknown)
            end,
    {module, Name} = live(Config, code, load_abs, [filename:rootname(File)]),
    AsBuilt = Dirty(),
    {ok, Name, Other} = compile:forms([{attribute, 1, module, Name}]),
    true = live(Config, code, delete, [Name]),
    {module, Name} = live(Config, code, load_binary, [Name, "other.erl", Other]),
    true = Dirty(),
    AsBuilt = begin
                  true = live(Config, code, purge, [Name]) orelse true,
                  true = live(Config, code, delete, [Name]),
                  Dirty()
              end.

a_connection_that_was_there_stays(Config) ->
    Here = fun(M, F, A) -> peer:call(proplists:get_value(conductor, Config), M, F, A) end,
    {ok, _} = Here(net_kernel, start, ['here@127.0.0.1', #{name_domain => longnames, dist_listen => false}]),
    true = Here(erlang, set_cookie, [?NODE, list_to_atom(?COOKIE)]),
    true = Here(net_kernel, connect_node, [?NODE]),
    {ok, _} = attach(Config, #{cookie_file => none}),
    [?NODE] = Here(erlang, nodes, [connected]),
    'here@127.0.0.1' = Here(erlang, node, []).

a_vm_measures_in_itself(Config) ->
    Conductor = proplists:get_value(conductor, Config),
    Here = fun(M, F, A) -> peer:call(Conductor, M, F, A) end,
    _ = Here(live_router, start, []),
    {ok, _} = attach(Config, #{node => nonode@nohost}),
    Facts = fun() -> Here(live_router, node_state, []) end,
    Before = Facts(),
    {ok, #{env := #{attached := true} = Env}} = attach(Config, #{node => nonode@nohost}),
    false = is_map_key(distributed, Env),
    ok = wait_until(fun() -> Facts() =:= Before end, fun() -> {before, Before, now, Facts()} end).

is_said(Words, Text) ->
    string:find(Text, Words) =/= nomatch.

%% Watching

%% A node whose code has the two calls, and requests.
serving(Config) ->
    Mark = filename:rootname(code:which(router_bench_mark)),
    {module, router_bench_mark} = live(Config, code, load_abs, [Mark]),
    _ = live(Config, live_router, serve, []),
    before(Config).

watching(Config, More) ->
    maps:merge(#{node => ?NODE, cookie_file => proplists:get_value(cookie, Config), calls => true,
                 window_ms => 200, blocks => 2, quiet => true}, More).

watch(Config, More) ->
    peer:call(proplists:get_value(conductor, Config), router_bench, watch, [watching(Config, More)], 60000).

is_served_and_not_watched(Config) ->
    false = live(Config, router_bench_mark, is_watched, []),
    none = live(Config, router_bench_mark, started, []).

watched_traffic_of_a_node_leaves_it_as_it_was(Config) ->
    Before = serving(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "watched.json"),
    {ok, Report} = watch(Config, #{report_file => File}),
    #{env := #{attached := true}, watched := #{source := calls, recording := _}, blocks := [_, _],
      accounting := #{traffic := #{ok := Ok}}} = Report,
    true = Ok > 0,
    {ok, Json} = file:read_file(File),
    {_, _} = binary:match(Json, <<"\"watched\"">>),
    nomatch = binary:match(Json, <<?COOKIE>>),
    is_as_before(Before, Config),
    is_served_and_not_watched(Config).

a_watch_whose_conductor_is_killed_leaves_the_node_as_it_was(Config) ->
    Before = serving(Config),
    Conductor = proplists:get_value(conductor, Config),
    _ = peer:call(Conductor, erlang, spawn, [router_bench, watch, [watching(Config, #{window_ms => 60000})]]),
    ok = wait_until(fun() -> live(Config, router_bench_mark, is_watched, []) end, fun() -> not_watched end),
    OsPid = peer:call(Conductor, os, getpid, []),
    _ = os:cmd("kill -9 " ++ OsPid),
    is_as_before(Before, Config),
    is_served_and_not_watched(Config).

a_watch_that_is_stopped_keeps_its_windows_and_leaves_the_node_as_it_was(Config) ->
    Before = serving(Config),
    File = filename:join(proplists:get_value(priv_dir, Config), "attach_stopped.json"),
    Test = self(),
    _ = spawn_link(fun() -> Test ! {watched, watch(Config, #{blocks => 1000, report_file => File})} end),
    ok = wait_until(fun() -> has_window(File) end, fun() -> no_window end),
    ok = peer:call(proplists:get_value(conductor, Config), router_bench, stop, [], 60000),
    receive
        {watched, {error, {interrupted, #{run := #{status := interrupted}, blocks := [_ | _]}}}} -> ok;
        {watched, Other} -> error(Other)
    end,
    true = has_window(File),
    is_as_before(Before, Config),
    is_served_and_not_watched(Config).

has_window(File) ->
    case file:read_file(File) of
        {ok, Json} -> binary:match(Json, <<"\"block\": 1">>) =/= nomatch;
        {error, _} -> false
    end.
