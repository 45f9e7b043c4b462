package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// NotifyCommand returns a function for Alarm.Notify that runs a command, with these
// arguments and without a shell. The standard input of the command is the report as
// one line. Its environment has PATH and HOME of the relay and ALARM_HOSTNAME,
// ALARM_MESSAGES and ALARM_AGE (in seconds). The working directory is "/". If the
// command does not end with status 0, the error has the first 4096 bytes of its output. A
// command that has not ended when the context ends is killed.
func NotifyCommand(args ...string) func(context.Context, AlarmReport) error {
	return func(ctx context.Context, r AlarmReport) error {
		if len(args) == 0 {
			return errors.New("gateway: the alarm has no command")
		}
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.WaitDelay = 5 * time.Second // for children that keep the output open
		cmd.Dir = "/"
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "ALARM_HOSTNAME=" + r.Hostname,
			"ALARM_MESSAGES=" + strconv.Itoa(r.Messages), "ALARM_AGE=" + strconv.Itoa(int(r.Age.Seconds()))}
		cmd.Stdin = bytes.NewReader([]byte(r.String() + "\n"))
		var out firstBytes
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		switch {
		case err == nil, errors.Is(err, exec.ErrWaitDelay): // status 0
			return nil
		case ctx.Err() != nil:
			err = ctx.Err()
		}
		if text := bytes.TrimSpace(out.b); len(text) > 0 {
			return fmt.Errorf("%s: %w: %s", args[0], err, text)
		}
		return fmt.Errorf("%s: %w", args[0], err)
	}
}

// maxNotifyOutput is how much of the output of a command is kept.
const maxNotifyOutput = 4096

// firstBytes keeps the first bytes that are written to it.
type firstBytes struct{ b []byte }

func (f *firstBytes) Write(p []byte) (int, error) {
	f.b = append(f.b, p[:min(len(p), maxNotifyOutput-len(f.b))]...)
	return len(p), nil
}

// NotifyURL returns a function for Alarm.Notify that sends an AlarmReport to a URL,
// by POST as JSON: the fields of AlarmReport, age (in seconds), and text, which is the
// report as one line, as the web hooks of chat programs expect it. A status other than
// 2xx is an error, and so is a redirect. Errors do not contain the URL, which may have
// a secret. If client is nil, http.DefaultClient is used.
func NotifyURL(target string, client *http.Client) func(context.Context, AlarmReport) error {
	if client == nil {
		client = http.DefaultClient
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(ctx context.Context, r AlarmReport) error {
		body, err := json.Marshal(struct {
			Text string `json:"text"`
			AlarmReport
			Age int `json:"age"`
		}{r.String(), r, int(r.Age.Seconds())})
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
		if err != nil {
			return errors.New("the URL of the alarm is not valid")
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := own.Do(req)
		if err != nil {
			var u *url.Error
			if errors.As(err, &u) {
				err = u.Err
			}
			return fmt.Errorf("the URL of the alarm: %w", err)
		}
		defer res.Body.Close()
		io.CopyN(io.Discard, res.Body, maxNotifyOutput) // so that the connection can be used again
		if res.StatusCode < 200 || res.StatusCode > 299 {
			return fmt.Errorf("the URL of the alarm: HTTP status %d", res.StatusCode)
		}
		return nil
	}
}
