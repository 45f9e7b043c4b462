package memlimit

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Lines of /proc/self/mountinfo.
const (
	mountV1     = "35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	mountV1Both = "35 31 0:32 / /sys/fs/cgroup/memory,hugetlb rw,relatime - cgroup cgroup rw,hugetlb,memory\n"
	mountV1Pids = "40 31 0:33 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
	mountV2     = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate\n"
	mountHybrid = "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
	mountRoot   = "23 1 254:1 / / rw,relatime - ext4 /dev/vda rw\n"
)

func TestFind(t *testing.T) {
	const v1, v2 = "sys/fs/cgroup/memory/", "sys/fs/cgroup/"
	for _, c := range []struct {
		name, groups, mounts string
		files                map[string]string
		want                 int64
	}{
		{"v1 in a container with a namespace", "4:memory:/\n0::/\n", mountRoot + mountV1 + mountHybrid,
			map[string]string{v1 + "memory.limit_in_bytes": "100663296\n"}, 96 << 20},
		{"v1 without a limit", "4:memory:/a\n", mountV1,
			map[string]string{v1 + "a/memory.limit_in_bytes": "9223372036854771712\n", v1 + "memory.limit_in_bytes": "9223372036854771712\n"}, 0},
		{"v1, the limit is the parent's", "4:memory:/docker/1/a\n", mountV1,
			map[string]string{
				v1 + "docker/1/a/memory.limit_in_bytes": "200000000\n", v1 + "docker/1/memory.limit_in_bytes": "100000000\n",
				v1 + "docker/memory.limit_in_bytes": "9223372036854771712\n",
			}, 100000000},
		{"v1, the container's group is mounted", "4:memory:/docker/1\n", "35 31 0:32 /docker/1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
			map[string]string{v1 + "memory.limit_in_bytes": "100000000\n"}, 100000000},
		{"v1, the path is that of the host", "4:memory:/kubepods/pod1/c1\n", mountV1,
			map[string]string{v1 + "memory.limit_in_bytes": "100000000\n"}, 100000000},
		{"v1, two controllers together", "4:hugetlb,memory:/a\n", mountV1Both,
			map[string]string{"sys/fs/cgroup/memory,hugetlb/a/memory.limit_in_bytes": "100000000\n"}, 100000000},
		{"v1, another controller", "8:pids:/a\n", mountV1Pids, map[string]string{"sys/fs/cgroup/pids/a/memory.limit_in_bytes": "5\n"}, 0},
		{"v2 in a container with a namespace", "0::/\n", mountV2, map[string]string{v2 + "memory.max": "100663296\n"}, 96 << 20},
		{"v2 without a limit", "0::/a\n", mountV2, map[string]string{v2 + "a/memory.max": "max\n", v2 + "a/memory.high": "max\n"}, 0},
		{"v2, the root group has no files", "0::/\n", mountV2, nil, 0},
		{"v2, a service of systemd", "0::/system.slice/relay.service\n", mountV2,
			map[string]string{v2 + "system.slice/relay.service/memory.max": "max\n", v2 + "system.slice/memory.max": "300000000\n"}, 300000000},
		{"v2, memory.high is smaller", "0::/a\n", mountV2,
			map[string]string{v2 + "a/memory.max": "300000000\n", v2 + "a/memory.high": "200000000\n"}, 200000000},
		{"v2, outside the namespace", "0::/../b\n", mountV2, map[string]string{v2 + "memory.max": "100000000\n", "sys/fs/b/memory.max": "5\n"}, 100000000},
		{"v2, a path with a similar prefix", "0::/ab\n", "30 23 0:26 /a /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n",
			map[string]string{v2 + "memory.max": "100000000\n", v2 + "b/memory.max": "5\n"}, 100000000},
		{"v2, a directory with a space", "0::/\n", `30 23 0:26 / /my\040cgroup rw - cgroup2 cgroup2 rw` + "\n",
			map[string]string{"my cgroup/memory.max": "100000000\n"}, 100000000},
		{"v1 and v2, v1 has the controller", "4:memory:/a\n0::/b\n", mountV1 + mountHybrid,
			map[string]string{v1 + "a/memory.limit_in_bytes": "100000000\n"}, 100000000},
		{"files that make no sense", "0::/a\n", mountV2, map[string]string{v2 + "a/memory.max": "lots\n", v2 + "a/memory.high": "-5\n"}, 0},
		{"lines that make no sense", "memory\n:\n", "a b - c\n - \n\n", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := t.TempDir()
			write := func(name, text string) {
				name = filepath.Join(root, name)
				if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			write("proc/self/cgroup", c.groups)
			write("proc/self/mountinfo", c.mounts)
			for name, text := range c.files {
				write(name, text)
			}
			if got := find(root); got != c.want {
				t.Errorf("limit %d, want %d", got, c.want)
			}
		})
	}
	if got := find(t.TempDir()); got != 0 {
		t.Errorf("without /proc: limit %d", got)
	}
}

// Whatever the files contain, the directories that are read are below the mount.
func FuzzFind(f *testing.F) {
	f.Add("4:memory:/a/b\n0::/\n", mountV1+mountV2)
	f.Add("0::/../b\n", mountV2)
	f.Add("0::/a/../../b\n", `30 23 0:26 / /my\040cgroup rw - cgroup2 cgroup2 rw`)
	f.Fuzz(func(t *testing.T, groups, mounts string) {
		v1, v2 := parseGroups(groups)
		for _, m := range parseMounts(mounts) {
			for _, group := range []string{v1, v2} {
				if dir := m.relative(group); !strings.HasPrefix(dir, "/") || strings.Contains(dir+"/", "/../") {
					t.Errorf("group %q of mount %q: %q", group, m.root, dir)
				}
			}
		}
	})
}
