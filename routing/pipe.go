package routing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/bridgehead-mail/bridgehead/queue"
)

// A Pipe is a Transport that passes mail to the standard input of a command.
// It uses no shell.
//
// The exit status is the result, as in sysexits.h: 0 is success; 75
// (EX_TEMPFAIL), 71 and 74 defer the mail; with any other status, the mail
// fails. If the command is killed or times out, the mail is deferred. The first
// line of output is the text of the reply. An enhanced code at its start
// ("4.2.2 Mailbox full") overrides the exit status of a command that failed. If
// the command cannot be started, the hop is unreachable.
type Pipe struct {
	// Command is the program and its arguments. "{from}", "{id}" and "{size}"
	// are replaced in each argument. An argument "{to}" is replaced by one
	// argument for each recipient. A program can read an address that begins
	// with "-" as an option. Such an address therefore fails, unless an
	// argument "--" comes before it.
	Command []string
	// PerRecipient runs the command once for each recipient, so that each has
	// its own result.
	PerRecipient bool
	// UnixLines passes the message with LF line ends instead of CRLF.
	UnixLines bool
	// Env is the environment of the command. The default contains only PATH.
	Env []string
	// Dir is the working directory. The default is "/".
	Dir string
	// Timeout is the maximum run time of the command. The default is 1000 s
	// (Postfix command_time_limit).
	Timeout time.Duration
}

const (
	defaultPipeTimeout = 1000 * time.Second
	maxPipeOutput      = 4 << 10
)

// Deliver implements Transport.
func (p *Pipe) Deliver(ctx context.Context, j *Job) []queue.Result {
	if !p.PerRecipient {
		return sameResults(len(j.Recipients), p.run(ctx, j, j.Recipients))
	}
	results := make([]queue.Result, len(j.Recipients))
	for i := range j.Recipients {
		results[i] = p.run(ctx, j, j.Recipients[i:i+1])
		if i < len(results)-1 { // the next command may take long
			queue.Progress(ctx, j.Recipients[i:i+1], results[i:i+1])
		}
	}
	return results
}

func (p *Pipe) run(ctx context.Context, j *Job, rcpts []*queue.Recipient) queue.Result {
	args, err := p.args(j.Message, rcpts)
	if err != nil {
		return errorResult(err)
	}
	timeout := p.Timeout
	if timeout <= 0 {
		timeout = defaultPipeTimeout
	}
	if err := queue.MayFinish(ctx); err != nil {
		return errorResult(err)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = 5 * time.Second // for children that keep the output open
	if cmd.Dir = p.Dir; cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if cmd.Env = p.Env; cmd.Env == nil {
		cmd.Env = []string{"PATH=" + os.Getenv("PATH")}
	}
	out := &limitedBuffer{limit: maxPipeOutput}
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return queue.Result{Outcome: queue.Unreachable, Err: err, Reply: localError("The command could not be started")}
	}
	// A command that does not read all input can still succeed, for example
	// /bin/true. Its exit status decides, if no other error occurred.
	permitted, feedErr := feed(ctx, stdin, j.Message.Content, p.UnixLines, cancel)
	err = cmd.Wait()
	if !permitted {
		return errorResult(feedErr)
	}
	if feedErr != nil && ctx.Err() == nil && !isBrokenPipe(feedErr) {
		return errorResult(fmt.Errorf("message not read: %w", feedErr))
	}
	return pipeResult(ctx, args[0], err, string(out.b))
}

// args builds the command line.
func (p *Pipe) args(m *queue.Message, rcpts []*queue.Recipient) ([]string, error) {
	if len(p.Command) == 0 {
		return nil, errors.New("routing: Pipe.Command is empty")
	}
	var args []string
	safe := false // after "--" no argument is an option
	for _, arg := range p.Command {
		if arg == "{to}" {
			for _, r := range rcpts {
				if strings.HasPrefix(r.Addr, "-") && !safe {
					return nil, badDomain(fmt.Errorf("it begins with a dash"))
				}
				args = append(args, r.Addr)
			}
			continue
		}
		if strings.HasPrefix(arg, "{from}") && strings.HasPrefix(m.From, "-") && !safe {
			return nil, &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 7},
				Message: "Bad sender address: it begins with a dash"}
		}
		safe = safe || arg == "--"
		args = append(args, strings.NewReplacer("{from}", m.From, "{id}", m.ID,
			"{size}", fmt.Sprint(sizeOf(m))).Replace(arg))
	}
	return args, nil
}

// feed writes the message and closes the command's input, which ends the message.
// If this is not permitted any more, feed kills the command first.
func feed(ctx context.Context, w io.WriteCloser, c queue.Content, unixLines bool, kill func()) (permitted bool, err error) {
	var out io.Writer = w
	if unixLines {
		out = &unixWriter{w: w}
	}
	_, err = c.WriteTo(out)
	denied := queue.MayFinish(ctx)
	if denied != nil {
		kill()
		return false, denied // Wait closes the input when the command has ended
	}
	return true, errors.Join(err, w.Close())
}

// exits maps the exit statuses of sysexits.h to enhanced codes.
var exits = map[int]smtp.EnhancedCode{
	64: {5, 5, 4}, // EX_USAGE
	65: {5, 6, 0}, // EX_DATAERR
	67: {5, 1, 1}, // EX_NOUSER
	68: {5, 1, 2}, // EX_NOHOST
	71: {4, 3, 0}, // EX_OSERR
	73: {5, 2, 0}, // EX_CANTCREAT
	74: {4, 3, 0}, // EX_IOERR
	75: {4, 3, 0}, // EX_TEMPFAIL
	76: {5, 5, 0}, // EX_PROTOCOL
	77: {5, 7, 0}, // EX_NOPERM
	78: {5, 3, 5}, // EX_CONFIG
}

func pipeResult(ctx context.Context, name string, err error, out string) queue.Result {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return queue.Result{Outcome: queue.Success, Reply: smtp.SMTPError{Code: 250,
			EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: "Delivered to command"}}
	case ctx.Err() != nil:
		return errorResult(fmt.Errorf("%s: %w", name, ctx.Err()))
	case !errors.As(err, &exit) || exit.ExitCode() < 0: // killed, or the output was not closed
		return errorResult(fmt.Errorf("%s: %w", name, err))
	}
	enhanced, known := exits[exit.ExitCode()]
	if !known {
		enhanced = smtp.EnhancedCode{5, 3, 0}
	}
	text := firstLine(out)
	if code, rest, ok := cutEnhancedCode(text); ok && code[0] != 2 {
		enhanced, text = code, rest
	}
	if text == "" {
		text = fmt.Sprintf("Command failed with status %d", exit.ExitCode())
	}
	r := queue.Result{Outcome: queue.Failure, Err: err, Reply: smtp.SMTPError{Code: 550, EnhancedCode: enhanced, Message: text}}
	if enhanced[0] == 4 {
		r.Outcome, r.Reply.Code = queue.Deferred, 451
	}
	return r
}

// localError is the reply for an error of this relay.
func localError(text string) smtp.SMTPError {
	return smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: text}
}

// limitedBuffer keeps the first limit bytes that are written to it.
type limitedBuffer struct {
	b     []byte
	limit int
}

func (l *limitedBuffer) Write(p []byte) (int, error) {
	l.b = append(l.b, p[:min(len(p), l.limit-len(l.b))]...)
	return len(p), nil
}

// unixWriter converts CRLF to LF.
type unixWriter struct {
	w  io.Writer
	cr bool // the last byte was a CR, not written yet
	b  []byte
}

func (u *unixWriter) Write(p []byte) (int, error) {
	u.b = u.b[:0]
	for _, c := range p {
		if u.cr && c != '\n' {
			u.b = append(u.b, '\r')
		}
		if u.cr = c == '\r'; !u.cr {
			u.b = append(u.b, c)
		}
	}
	if _, err := u.w.Write(u.b); err != nil {
		return 0, err
	}
	return len(p), nil
}
