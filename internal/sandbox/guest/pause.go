package guest

import "encoding/binary"

// Pause is a static x86-64 ELF program of a few instructions. It closes its
// standard descriptors, so that it holds nothing of the host; has the kernel
// reap its children; and waits for ever.
func Pause() []byte {
	code := []byte{
		0x31, 0xff, // xor edi, edi
		0xb8, 3, 0, 0, 0, // again: mov eax, 3 (close)
		0x0f, 0x05, // syscall
		0xff, 0xc7, // inc edi
		0x83, 0xff, 3, // cmp edi, 3
		0x75, 0xf2, // jne again
		0xb8, 13, 0, 0, 0, // mov eax, 13 (rt_sigaction)
		0xbf, 17, 0, 0, 0, // mov edi, 17 (SIGCHLD)
		0x48, 0x8d, 0x35, 23, 0, 0, 0, // lea rsi, [rip+23] (action, below)
		0x31, 0xd2, // xor edx, edx
		0x41, 0xba, 8, 0, 0, 0, // mov r10d, 8 (bytes of a signal set)
		0x0f, 0x05, // syscall
		0xb8, 34, 0, 0, 0, // wait: mov eax, 34 (pause)
		0x0f, 0x05, // syscall
		0xeb, 0xf7, // jmp wait
		0, 0, 0, 0, // to a multiple of 8
	}
	action := make([]byte, 32) // handler, flags, restorer, mask (sigaction(2), kernel layout)
	action[0] = 1              // SIG_IGN
	code = append(code, action...)

	const base, header, segment, page = 0x400000, 64, 56, 4096
	le := binary.LittleEndian
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	b = le.AppendUint16(b, 2)    // executable
	b = le.AppendUint16(b, 0x3e) // x86-64
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, base+header+segment) // entry
	b = le.AppendUint64(b, header)              // program headers' offset
	b = le.AppendUint64(b, 0)                   // no section headers
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{header, segment, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	size := uint64(header + segment + len(code))
	b = le.AppendUint32(b, 1) // a segment to load
	b = le.AppendUint32(b, 5) // readable, executable
	for _, v := range []uint64{0, base, base, size, size, 0x1000} {
		b = le.AppendUint64(b, v)
	}
	// A page, because gVisor cannot map a file that an image keeps inside its
	// inode, as it does small ones.
	return append(append(b, code...), make([]byte, page-len(b)-len(code))...)
}
