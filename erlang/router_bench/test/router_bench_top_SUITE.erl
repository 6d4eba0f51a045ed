-module(router_bench_top_SUITE).

-export([all/0, suite/0]).
-export([no_line_is_longer_than_80_columns_whatever_is_shown/1,
         what_is_not_known_is_not_shown/1,
         the_time_left_is_that_of_the_blocks_so_far/1,
         where_nothing_runs_it_says_so_and_ends/1,
         a_run_is_shown_until_q_and_goes_on/1,
         a_view_outlives_its_run_until_a_line_is_typed/1,
         without_a_keyboard_it_ends_with_the_run/1,
         whoever_is_killed_leaves_nothing_behind/1]).

suite() ->
    [{timetrap, {minutes, 3}}].

all() ->
    [F || {F, 1} <- ?MODULE:module_info(exports), F =/= module_info].

%% Formatting

no_line_is_longer_than_80_columns_whatever_is_shown(_Config) ->
    _ = rand:seed(exsss, {1, 2, 3}),
    [begin
         View = #{facts := #{phase := Phase}} = view(),
         Lines = [_ | _] = router_bench_top:format(View),
         [{Phase, true} = {Phase, is_line(Line)} || Line <- Lines]
     end || _ <- lists:seq(1, 500)].

is_line(Line) ->
    Characters = unicode:characters_to_list(Line),
    length(Characters) =< 80
        andalso lists:all(fun(C) -> C >= 32 andalso C =/= 127 andalso C < 256 end, Characters).

view() ->
    Facts = #{adapter => any_atom(), started_ms => number(), deadline_ms => number(),
              told_ms => number(), blocks => pick([1, 20, 1000]),
              phase => pick([starting, router_bench_control, router_bench_calibration, boot, start,
                             warm_up, closed, open, finish, between_blocks, any_atom()])},
    Block = maps:from_list([{Key, number()} || Key <- [block_ms, first_block_ms]]),
    More = pick([#{}, Block#{block => pick([1, 2, 1000]), role => pick([frozen, candidate]),
                             peer => none, slice => {pick([1, 99]), pick([1, 10000])}}]),
    View = #{now_ms => number(), facts => maps:merge(Facts, More)},
    pick([View, View#{glance => glance()}]).

glance() ->
    Glance = #{run_queue => size(), memory => [{Class, size()} || {Class, _} <- erlang:memory()],
               mailboxes => [{any_atom(), size()} || _ <- lists:seq(1, rand:uniform(17) - 1)]},
    Counted = maps:from_list([{Key, size()} || Key <- [slices, served, error, timeout, rejected]]),
    Seen = Counted#{served_per_second => size() / 3},
    Open = Seen#{skipped => size(), offered_per_second => size() / 7, p50_ns => size(),
                 p95_ns => size(), p99_ns => size()},
    pick([Glance, Glance#{loop => Seen}, Glance#{loop => Open}]).

any_atom() ->
    pick([ref_router, 'a\e[31m\nb', '\x{4e2d}\x{202e}', list_to_atom(lists:duplicate(255, $x)), '']).

number() -> pick([0, -5000, 1, 999, 61000, 125000, 1 bsl 40]).

size() -> pick([0, 1, 1234, 1 bsl 20, 1 bsl 33, 1 bsl 60]).

pick(Choices) -> lists:nth(rand:uniform(length(Choices)), Choices).

what_is_not_known_is_not_shown(_Config) ->
    Facts = #{adapter => toy_adapter, started_ms => 0, deadline_ms => 60000, told_ms => 0,
              blocks => 3, phase => router_bench_calibration},
    [<<"router_bench  toy_adapter">>, <<"calibration">>, <<"since 5 s, at most 55 s left">>, <<>>,
     <<"q and Enter", _/binary>>] = router_bench_top:format(#{now_ms => 5000, facts => Facts}),
    Open = Facts#{phase := open, block => 1, role => candidate, slice => {2, 40}, peer => none,
                  block_ms => 1000, first_block_ms => 1000},
    Glance = #{run_queue => 3, memory => [{total, 3 bsl 20}, {processes, 1 bsl 20}, {system, 7}],
               mailboxes => [{short, 1}, {'long one', 12}]},
    Seen = #{slices => 1, served => 1200, served_per_second => 19995.2, error => 0, timeout => 0,
             rejected => 0},
    [_, <<"block 1 of at most 3   open loop   2 of 40 slices   candidate">>, _, <<>>,
     <<"served      19,995/s   in 1 slices 1,200">>, <<"run queue   3">>,
     <<"memory MB   total 3.0  processes 1.0">>, <<"mailboxes   'long one' 12  short 1">>, <<>>, _] =
        router_bench_top:format(#{now_ms => 5000, facts => Open, glance => Glance#{loop => Seen}}),
    Many = [{list_to_atom("router_" ++ integer_to_list(N)), N} || N <- lists:seq(1, 9)],
    [<<"mailboxes   router_9 9  router_8 8  router_7 7  router_6 6  and 5 more">>] =
        [Line || <<"mailboxes", _/binary>> = Line
                     <- router_bench_top:format(#{now_ms => 5000, facts => Open,
                                                  glance => Glance#{mailboxes := Many}})],
    More = Seen#{offered_per_second => 20000.0, timeout := 2, skipped => 1500, p50_ns => 21000,
                 p95_ns => 151000, p99_ns => 20400000},
    [_, _, _, <<>>, <<"served      19,995/s   offered 20,000/s   in 1 slices 1,200">>,
     <<"not served  2 timeout, 1,500 skipped">>,
     <<"latency     p50 0.0210 ms   p95 0.151 ms   p99 20.4 ms   medians over slices">> | _] =
        router_bench_top:format(#{now_ms => 5000, facts => Open, glance => Glance#{loop => More}}).

the_time_left_is_that_of_the_blocks_so_far(_Config) ->
    Facts = #{adapter => toy_adapter, started_ms => 0, deadline_ms => 900000, told_ms => 0, blocks => 10,
              phase => warm_up, block => 3, first_block_ms => 10000, block_ms => 30000},
    Said = fun(NowMs, Of) -> lists:nth(3, router_bench_top:format(#{now_ms => NowMs, facts => Of})) end,
    % Two blocks took 20 s, so that eight take 80 s, of which 4 s are over.
    <<"since 34 s, some 76 s left">> = Said(34000, Facts),
    <<"since 34 s, some 1 s left">> = Said(34000, Facts#{deadline_ms := 35000}),
    <<"since 12 s, at most 14 min left">> = Said(12000, Facts#{block := 1, block_ms := 10000}),
    <<"since 15 min, some 0 s left">> = Said(901000, Facts).

%% Looking on

where_nothing_runs_it_says_so_and_ends(_Config) ->
    Console = console(),
    {_, Monitor} = view_on(Console),
    ok = down(Monitor, normal),
    {match, _} = re:run(printed(Console), "nothing is measured in this VM; .*router_bench:run/1"),
    ok = ended(Console).

a_run_is_shown_until_q_and_goes_on(_Config) ->
    Before = processes(),
    Run = runs(#{blocks => 2, throughput_ms => 2500, latency_ms => 2500}),
    Console = console(),
    {_, Monitor} = view_on(Console),
    ok = shown(Console, "closed loop .*served .*memory MB .*mailboxes   toy_router"),
    ok = shown(Console, "open loop .*offered [0-9,]+/s.*p99 "),
    % Another line is none of its business.
    ok = typed(Console, "x\n"),
    ok = typed(Console, "quit\n"),
    ok = down(Monitor, normal),
    ok = ended(Console),
    {ok, #{blocks := [_, _]}} = result(Run),
    ok = only_these_are_left(Before).

a_view_outlives_its_run_until_a_line_is_typed(_Config) ->
    Run = runs(#{}),
    Console = console(),
    {_, Monitor} = view_on(Console),
    {ok, _} = result(Run),
    ok = shown(Console, "the run has ended; Enter ends this view"),
    ok = typed(Console, "\n"),
    ok = down(Monitor, normal),
    ok = ended(Console).

without_a_keyboard_it_ends_with_the_run(_Config) ->
    Run = runs(#{}),
    Console = console(),
    {_, Monitor} = view_on(Console),
    ok = typed(Console, eof),
    {ok, _} = result(Run),
    ok = down(Monitor, normal),
    {match, _} = re:run(printed(Console), "the run has ended\n$"),
    ok = ended(Console).

whoever_is_killed_leaves_nothing_behind(_Config) ->
    Run = runs(#{throughput_ms => 2000}),
    Before = processes(),
    Console = console(),
    {View, Monitor} = view_on(Console),
    ok = shown(Console, "closed loop"),
    true = exit(View, kill),
    ok = down(Monitor, killed),
    ok = ended(Console),
    {ok, _} = result(Run),
    ok = only_these_are_left(Before),
    none = router_bench_glance:latest().

%% A process that was told to end does so in its own time.
only_these_are_left(Before) ->
    case processes() -- Before of
        [] -> ok;
        _ ->
            erlang:yield(),
            only_these_are_left(Before)
    end.

runs(More) ->
    Options = maps:merge(#{adapter => toy_adapter, blocks => 1, warmup_ms => 20, throughput_ms => 100,
                           latency_ms => 200, rate_per_second => 2000, concurrency => 2,
                           control => false, quiet => true}, More),
    Caller = self(),
    Run = spawn_link(fun() ->
                             Caller ! {self(), ran, router_bench:run(Options)},
                             receive never -> ok end
                     end),
    ok = something_runs(),
    Run.

%% The first thing that a run says of itself comes at once.
something_runs() ->
    case router_bench_glance:latest() of
        {ok, _} -> ok;
        none ->
            erlang:yield(),
            something_runs()
    end.

result(Run) ->
    receive
        {Run, ran, Result} ->
            unlink(Run),
            Monitor = monitor(process, Run),
            true = exit(Run, kill),
            ok = down(Monitor, killed),
            Result
    end.

view_on(Console) ->
    spawn_monitor(fun() ->
                          true = group_leader(Console, self()),
                          ok = router_bench:top()
                  end).

down(Monitor, Reason) ->
    receive {'DOWN', Monitor, process, _, Reason} -> ok end.

%% A console without a terminal: keeps what is printed, and gives the lines that are typed.

console() ->
    spawn_link(fun() -> console(<<>>, [], [], none) end).

console(Printed, Typed, Readers, Awaited) ->
    case {Typed, Readers, Awaited} of
        {[Line | Lines], [{From, ReplyAs} | Others], _} ->
            From ! {io_reply, ReplyAs, Line},
            console(Printed, Lines, Others, Awaited);
        {_, _, {Pattern, Waiting}} ->
            case re:run(Printed, Pattern, [{capture, none}, dotall]) of
                match ->
                    Waiting ! {self(), shown},
                    console(<<>>, Typed, Readers, none);
                nomatch ->
                    console_receives(Printed, Typed, Readers, Awaited)
            end;
        _ ->
            console_receives(Printed, Typed, Readers, Awaited)
    end.

console_receives(Printed, Typed, Readers, Awaited) ->
    receive
        {io_request, From, ReplyAs, {put_chars, unicode, Characters}} ->
            From ! {io_reply, ReplyAs, ok},
            Text = unicode:characters_to_binary(Characters),
            console(<<Printed/binary, Text/binary>>, Typed, Readers, Awaited);
        {io_request, From, ReplyAs, {get_line, unicode, _Prompt}} ->
            console(Printed, Typed, Readers ++ [{From, ReplyAs}], Awaited);
        {io_request, From, ReplyAs, _Other} ->
            From ! {io_reply, ReplyAs, {error, enotsup}},
            console(Printed, Typed, Readers, Awaited);
        {typed, Line} ->
            console(Printed, Typed ++ [Line], Readers, Awaited);
        {shown, Pattern, Waiting} ->
            console(Printed, Typed, Readers, {Pattern, Waiting});
        {printed, Asking} ->
            Asking ! {self(), Printed},
            console(Printed, Typed, Readers, Awaited);
        stop ->
            ok
    end.

shown(Console, Pattern) ->
    Console ! {shown, Pattern, self()},
    receive {Console, shown} -> ok end.

typed(Console, Line) ->
    Console ! {typed, Line},
    ok.

printed(Console) ->
    Console ! {printed, self()},
    receive {Console, Printed} -> Printed end.

%% Nobody reads from it any more.
ended(Console) ->
    Monitor = monitor(process, Console),
    Console ! stop,
    down(Monitor, normal).
