package sandbox

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	erofs "github.com/erofs/go-erofs"
)

// The parts of the EROFS layout that unpack changes
// (https://docs.kernel.org/filesystems/erofs.html#on-disk-layout).
const (
	superBlock = 1024
	sbBits     = superBlock + 12 // logarithm of the block size, one byte
	sbBlocks   = superBlock + 36 // blocks of the image, 4 bytes
	sbMeta     = superBlock + 40 // block of the first inode slot, 4 bytes

	inodeSlot   = 32
	inodeXattrs = 2  // count of attribute words, 2 bytes
	inodeSize   = 8  // of the file, 4 bytes or, in a long inode, 8
	inodeBlock  = 16 // of the file's data, 4 bytes

	layoutPlain, layoutInline = 0, 2
)

// unpack moves the content of small files, which the writer keeps inside their
// inodes, to blocks of their own at the end of the image. gVisor reads files
// of either kind but maps only the second: mapping the first is a SIGBUS for
// the program, such as one that sets a locale.
func unpack(f *os.File) error {
	// The reader asks for more bytes than the last inode has, so that one
	// which ends with the file needs room behind it.
	whole, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if err := f.Truncate(whole + 4096); err != nil {
		return err
	}
	inline, err := inlined(f)
	if err != nil {
		return fmt.Errorf("finding small files: %w", err)
	}
	if err := f.Truncate(whole); err != nil {
		return err
	}
	var head [superBlock + 128]byte
	if _, err := f.ReadAt(head[:], 0); err != nil {
		return fmt.Errorf("reading the superblock: %w", err)
	}
	le := binary.LittleEndian
	block := int64(1) << head[sbBits]
	meta := int64(le.Uint32(head[sbMeta:])) * block
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	end = (end + block - 1) / block * block
	buf := make([]byte, block)
	for _, nid := range inline {
		at := meta + nid*inodeSlot
		var inode [64]byte
		if _, err := f.ReadAt(inode[:inodeSlot], at); err != nil {
			return fmt.Errorf("reading an inode: %w", err)
		}
		format := le.Uint16(inode[:])
		header := int64(inodeSlot)
		if format&1 == 1 {
			header = 64
		}
		// A long inode's size has four more bytes; an inlined file leaves them 0.
		size := int64(le.Uint32(inode[inodeSize:]))
		if n := int64(le.Uint16(inode[inodeXattrs:])); n > 0 {
			header += 12 + (n-1)*4
		}
		if size > block || format>>1&7 != layoutInline {
			return fmt.Errorf("inode %d is not what it seemed", nid)
		}
		clear(buf)
		if _, err := f.ReadAt(buf[:size], at+header); err != nil {
			return fmt.Errorf("reading a small file: %w", err)
		}
		if _, err := f.WriteAt(buf, end); err != nil {
			return fmt.Errorf("writing a small file: %w", err)
		}
		le.PutUint16(inode[:], format&^(7<<1)|layoutPlain<<1)
		le.PutUint32(inode[inodeBlock:], uint32(end/block))
		if _, err := f.WriteAt(inode[:inodeSlot], at); err != nil {
			return fmt.Errorf("writing an inode: %w", err)
		}
		end += block
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	le.PutUint32(head[sbBlocks:], uint32(end/block))
	_, err = f.WriteAt(head[sbBlocks:sbBlocks+4], sbBlocks)
	return err
}

// inlined lists the inodes of regular files that hold their own content, in
// order.
func inlined(f *os.File) ([]int64, error) {
	tree, err := erofs.Open(f)
	if err != nil {
		return nil, err
	}
	var all []int64
	err = fs.WalkDir(tree, ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*erofs.Stat); ok && st.InodeLayout == layoutInline && st.Size > 0 {
			all = append(all, st.Ino)
		}
		return nil
	})
	slices.Sort(all)
	return slices.Compact(all), err // a file with two names has one inode
}
