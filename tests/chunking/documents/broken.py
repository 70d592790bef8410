# 这个文件有语法错误：少了一个括号。
import os


def first(path:
    """Gives the first line."""
    with open(path) as file
        return file.readline()


class Half
    x = (1,

    def second(self):
        return os.sep  # 第二个函数
