package peers

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// DovecotSASL runs a Dovecot until the test ends that only authenticates, for a
// Postfix with smtpd_sasl_type = dovecot. It returns its socket, for
// smtpd_sasl_path. mechanisms is the value of auth_mechanisms; config is the rest
// of its configuration, such as a passdb; environment is added to that of the
// test. Dovecot must be started by root; otherwise the test is skipped.
func DovecotSASL(t testing.TB, mechanisms, config string, environment ...string) (socket string) {
	t.Helper()
	bin := Need(t, "dovecot")
	NeedRoot(t)
	dir := OpenDir(t)
	text := strings.NewReplacer("@DIR@", dir, "@MECHANISMS@", mechanisms).Replace(dovecotSASLConfig) + config
	check(t, os.WriteFile(dir+"/dovecot.conf", []byte(text), 0o644))
	cmd := exec.Command(bin, "-F", "-c", dir+"/dovecot.conf")
	cmd.Env = append(os.Environ(), environment...)
	check(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if t.Failed() {
			log, _ := os.ReadFile(dir + "/log") // there may be none
			t.Logf("dovecot:\n%s", log)
		}
	})
	socket = dir + "/auth"
	Await(t, "dovecot's socket", func() bool {
		_, err := os.Stat(socket)
		return err == nil
	})
	return socket
}

const dovecotSASLConfig = `base_dir = @DIR@/run
state_dir = @DIR@/state
log_path = @DIR@/log
protocols =
ssl = no
auth_mechanisms = @MECHANISMS@
auth_failure_delay = 0
auth_verbose = yes
userdb {
  driver = static
  args = uid=65534 gid=65534 home=@DIR@
}
service anvil {
  unix_listener anvil-auth-penalty { # no delay after failures
    mode = 0
  }
}
service auth {
  unix_listener @DIR@/auth {
    mode = 0666
  }
}
`
