%% @doc A measurement that is under way, refreshed in place.
%%
%% Once a second: what the runner says of itself ({@link router_bench_glance}), and of the BEAM that is
%% measured at this moment, which is asked over the connection that it has anyway. That costs it one
%% message, one process of some 0.1 ms, and a signal to each of the router's named processes.
%%
%% It is a loop in the caller and a process linked to it that waits for a line. Whatever ends the caller
%% ends both.
%% @private
-module(router_bench_top).

-export([run/0, format/1]).

-export_type([view/0]).

%% What is shown. Everything but `now_ms' and `facts' may be absent.
-type view() :: #{now_ms := integer(), facts := router_bench_glance:facts(),
                  glance => router_bench_side:glance()}.

-define(REFRESH_MS, 1000).
%% A BEAM under load takes its time; one that takes longer is looked at a second later.
-define(ANSWER_MS, 500).
-define(COLUMNS, 80).
%% Beside the name of the line and what is said of those that are left out.
-define(MAILBOX_COLUMNS, 56).

%% @doc Shows what runs until the reader types `q', or nothing runs any more and a line is typed.
-spec run() -> ok.
run() ->
    case router_bench_glance:latest() of
        none ->
            io:put_chars("nothing is measured in this VM; start something with router_bench:run/1 in "
                         "another job of the shell\n");
        {ok, Facts} ->
            Caller = self(),
            Reader = spawn_link(fun() -> read(Caller) end),
            IsTerminal = is_integer(columns()),
            _ = [io:put_chars("\e[2J") || IsTerminal],
            show(Facts, Reader, IsTerminal)
    end.

%% Lines, the next one when it is asked for: the shell would miss one that is read and of no use. Without
%% a keyboard there is nothing to wait for.
read(Caller) ->
    case io:get_line("") of
        Line when is_list(Line); is_binary(Line) ->
            Caller ! {self(), line, string:trim(unicode:characters_to_list(Line))},
            receive go_on -> read(Caller) end;
        _EndOrError ->
            Caller ! {self(), no_keyboard}
    end.

show(Facts, Reader, IsTerminal) ->
    NowMs = erlang:monotonic_time(millisecond),
    draw(format(view(Facts, NowMs)), IsTerminal),
    wait(Reader, IsTerminal, erlang:monotonic_time(millisecond) + ?REFRESH_MS).

wait(Reader, IsTerminal, NextMs) ->
    receive
        {Reader, line, "q" ++ _} ->
            ended(Reader);
        {Reader, line, _Other} ->
            Reader ! go_on,
            wait(Reader, IsTerminal, NextMs);
        {Reader, no_keyboard} ->
            wait(none, IsTerminal, NextMs)
    after max(0, NextMs - erlang:monotonic_time(millisecond)) ->
            case router_bench_glance:latest() of
                {ok, Facts} -> show(Facts, Reader, IsTerminal);
                none -> over(Reader)
            end
    end.

%% The reader waits for a line, which is its own and not the shell's.
over(none) ->
    io:put_chars("the run has ended\n");
over(Reader) ->
    io:put_chars("the run has ended; Enter ends this view\n"),
    receive
        {Reader, line, _Any} -> ended(Reader);
        {Reader, no_keyboard} -> ok
    end.

ended(Reader) ->
    unlink(Reader),
    exit(Reader, kill),
    ok.

%% On a terminal over what was there, elsewhere below it.
draw(Lines, true) ->
    io:put_chars(["\e[H", [[Line, "\e[K\n"] || Line <- Lines], "\e[J"]);
draw(Lines, false) ->
    io:put_chars([[[Line, $\n] || Line <- Lines], $\n]).

columns() ->
    case io:columns() of
        {ok, Columns} -> Columns;
        {error, _} -> none
    end.

%% Looking

view(Facts, NowMs) ->
    View = #{now_ms => NowMs, facts => Facts},
    case glance(Facts) of
        #{run_queue := _} = Glance -> View#{glance => Glance};
        _ -> View
    end.

%% Only where a side of a block is at work: other BEAMs have none.
glance(#{phase := Phase, peer := Peer})
  when Peer =/= none, Phase =:= warm_up orelse Phase =:= closed orelse Phase =:= open ->
    DeadlineMs = erlang:monotonic_time(millisecond) + ?ANSWER_MS,
    router_bench_place:call(Peer, router_bench_side, glance, [], DeadlineMs);
glance(_Facts) ->
    none.

%% Showing

%% @doc A view as lines of at most 80 columns. Pure.
-spec format(view()) -> [unicode:chardata()].
format(#{now_ms := NowMs, facts := Facts} = View) ->
    Lines = [title(Facts), where(Facts), times(NowMs, Facts)]
        ++ case View of
               #{glance := Glance} -> [""] ++ loop(Glance) ++ vm(Glance);
               #{} -> []
           end
        ++ ["", "q and Enter ends this view, not the run"],
    [router_bench_text:line(Line, ?COLUMNS) || Line <- Lines].

title(#{adapter := Adapter}) ->
    ["router_bench  ", name(Adapter)].

where(#{phase := Phase} = Facts) ->
    lists:join("   ", [block(Facts) || is_map_key(block, Facts)]
                      ++ [phase(Phase)]
                      ++ [[integer_to_list(N), " of ", integer_to_list(Of), " slices"]
                          || Phase =:= closed orelse Phase =:= open,
                             #{slice := {N, Of}} <- [Facts]]
                      ++ [called(Role) || is_in_block(Phase), #{role := Role} <- [Facts]]).

block(#{block := N, blocks := Blocks}) ->
    io_lib:format("block ~b of at most ~b", [N, max(N, Blocks)]).

phase(router_bench_control) -> "controls";
phase(router_bench_calibration) -> "calibration";
phase(router_bench_rate) -> "search for a rate";
phase(boot) -> "starting a BEAM";
phase(start) -> "starting the router";
phase(warm_up) -> "warm-up";
phase(closed) -> "closed loop";
phase(open) -> "open loop";
phase(recover) -> "outage and recovery";
phase(finish) -> "stopping the router";
phase(between_blocks) -> "between two blocks";
phase(_Other) -> "starting".

is_in_block(Phase) ->
    lists:member(Phase, [boot, start, warm_up, closed, open, finish]).

%% What blocks took so far is what the next ones will take; what the first takes is not known.
times(NowMs, #{started_ms := StartedMs, deadline_ms := DeadlineMs} = Facts) ->
    MostMs = DeadlineMs - NowMs,
    Left = case Facts of
               #{block := N, blocks := Blocks, first_block_ms := FirstMs, block_ms := BlockMs}
                 when N > 1 ->
                   LeftMs = (BlockMs - FirstMs) div (N - 1) * max(1, Blocks - N + 1) - (NowMs - BlockMs),
                   ["some ", duration(min(MostMs, LeftMs)), " left"];
               #{} ->
                   ["at most ", duration(MostMs), " left"]
           end,
    ["since ", duration(NowMs - StartedMs), ", ", Left].

duration(Ms) when Ms < 120000 -> io_lib:format("~b s", [max(0, Ms) div 1000]);
duration(Ms) -> io_lib:format("~b min", [Ms div 60000]).

loop(#{loop := Seen}) ->
    #{slices := Slices, served := Served, served_per_second := PerSecond} = Seen,
    Offered = [["   offered ", router_bench_figures:text(rps, Rate)]
               || #{offered_per_second := Rate} <- [Seen]],
    Lost = [[router_bench_figures:thousands(Count), " ", atom_to_list(Kind)]
            || Kind <- [error, timeout, rejected, skipped], #{Kind := Count} <- [Seen], Count > 0],
    [["served      ", router_bench_figures:text(rps, PerSecond), Offered,
      "   in ", integer_to_list(Slices), " slices ", router_bench_figures:thousands(Served)]]
        ++ [["not served  ", lists:join(", ", Lost)] || Lost =/= []]
        ++ latency(Seen);
loop(#{}) ->
    [].

latency(Seen) ->
    Cells = [[Name, " ", router_bench_figures:text(latency_p95_ms, Ns / 1.0e6)]
             || {Key, Name} <- [{p50_ns, "p50"}, {p95_ns, "p95"}, {p99_ns, "p99"}],
                #{Key := Ns} <- [Seen]],
    [["latency     ", lists:join("   ", Cells), "   medians over slices"] || Cells =/= []].

vm(#{run_queue := RunQueue, memory := Memory, mailboxes := Mailboxes}) ->
    Classes = [[atom_to_list(Class), " ", megabytes(Bytes)]
               || Class <- [total, processes, binary, ets, code, atom],
                  {Of, Bytes} <- Memory, Of =:= Class],
    Longest = lists:reverse(lists:keysort(2, Mailboxes)),
    [["run queue   ", router_bench_figures:thousands(RunQueue)],
     ["memory MB   ", lists:join("  ", Classes)]]
        ++ [["mailboxes   ", lists:join("  ", fitting([[name(Name), " ", integer_to_list(Length)]
                                                       || {Name, Length} <- Longest], ?MAILBOX_COLUMNS))]
            || Longest =/= []].

%% As many as there is room for, and how many more there are.
fitting([], _Columns) ->
    [];
fitting([Cell | Cells], Columns) ->
    case Columns - 2 - length(lists:flatten(Cell)) of
        Left when Left >= 0 -> [Cell | fitting(Cells, Left)];
        _ -> [["and ", integer_to_list(length(Cells) + 1), " more"]]
    end.

%% As a column wide as it is long, whatever somebody called it.
name(Atom) ->
    io_lib:format("~w", [Atom]).

megabytes(Bytes) ->
    io_lib:format("~.1f", [Bytes / 1048576]).

called({variant, _Option, _Value} = Role) -> unicode:characters_to_list(router_bench_failure:side(Role));
called(Role) -> atom_to_list(Role).
